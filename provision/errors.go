package provision

import (
	"errors"
	"fmt"
	"strings"
)

// Refusal says that the account must not be provisioned as things stand: trying
// again does not help until somebody changes the Secret, the policy or Nautobot.
// A run of Provision that ends with one has written nothing.
type Refusal struct {
	Problems []string // fit for the Secret's owner
	// Owner is the Secret that the account belongs to instead, according to the
	// account's last name. It is for the log only: it may be another tenant's.
	// Empty: that is not the problem.
	Owner string
}

func (r *Refusal) Error() string { return strings.Join(r.Problems, "; ") }

func refuse(format string, args ...any) *Refusal {
	return &Refusal{Problems: []string{fmt.Sprintf(format, args...)}}
}

// NewRefusal is a refusal that an adapter found: the Secret is not there, say.
func NewRefusal(format string, args ...any) error { return refuse(format, args...) }

// ErrNoSecret says that the Secret is gone: the API server itself said that
// there is none. What that means is for the caller to decide.
var ErrNoSecret = errors.New("there is no such Secret")

// What Nautobot answered, as far as that decides what to do next. The adapter's
// errors match these with errors.Is, and their texts say more.
var (
	ErrInvalidToken = errors.New("nobody has this token")
	ErrTokenExpired = errors.New("the token is expired")
	ErrUserInactive = errors.New("the token's user is inactive")
	ErrDenied       = errors.New("not permitted, or a wrong password")
	ErrRejected     = errors.New("rejected by Nautobot's field rules")
	// ErrTooLarge: an object, or a list of them, is too large to be read.
	ErrTooLarge = errors.New("the answer is too large")
	// ErrOutOfTime: there is not enough time left to wait any longer.
	ErrOutOfTime = errors.New("gave up waiting")
	// ErrUncertain: a write may or may not have been carried out.
	ErrUncertain = errors.New("unknown whether it was carried out")
)

// RejectedField is an ErrRejected that names this field. Nautobot's texts may be
// translated, but the names of fields are not.
type RejectedField string

func (f RejectedField) Error() string { return "rejected: field " + string(f) }
