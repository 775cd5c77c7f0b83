package provision

import (
	"context"
	"iter"
	"time"
)

// Nautobot is what provisioning needs from a Nautobot server.
type Nautobot interface {
	Users
	Tokens
	Permissions
}

// Users works on accounts, with the rights of the superuser token.
type Users interface {
	// FindUser returns the account of exactly that name, nil if there is none,
	// and the names of accounts that differ from it only in upper and lower case.
	FindUser(ctx context.Context, username string) (user *User, similar []string, err error)
	// OwnedUsers returns all accounts with exactly one of those last names. With
	// an ErrTooLarge it returns those that could be read.
	OwnedUsers(ctx context.Context, lastNames ...string) ([]User, error)
	// UsersUnder yields the accounts whose last names begin with a text, page by
	// page. It ends with the first error, except ErrTooLarge: the account could
	// not be read.
	UsersUnder(ctx context.Context, prefix string) iter.Seq2[User, error]
	CreateUser(ctx context.Context, fields UserFields) (User, error)
	// UpdateUser writes the fields that are set and no others. It returns the
	// account as it is then.
	UpdateUser(ctx context.Context, id string, fields UserFields) (User, error)
	// ClearPassword leaves the account without a password, and sets its first
	// name in the same write. It returns the account as it is then.
	ClearPassword(ctx context.Context, id, username, firstName string) (User, error)
	DeleteUser(ctx context.Context, id string) error
}

// Tokens works on the tokens of one account, as that account: Nautobot lets
// nobody else do that, not even a superuser.
type Tokens interface {
	// Authenticate reports whether the login opens the account; nil: it does.
	Authenticate(ctx context.Context, login Login) error
	Tokens(ctx context.Context, login Login) ([]Token, error)
	CreateToken(ctx context.Context, login Login, fields TokenFields) (Token, error)
	UpdateToken(ctx context.Context, login Login, id string, fields TokenFields) error
	// ExpireTokens and DeleteTokens end all of the tokens or, on an error, none.
	ExpireTokens(ctx context.Context, login Login, ids []string, at time.Time) error
	DeleteTokens(ctx context.Context, login Login, ids []string) error
}

// Permissions works on the group and the permission that let accounts manage their
// own tokens, with the rights of the superuser token.
type Permissions interface {
	GroupExists(ctx context.Context, name string) (bool, error)
	CreateGroup(ctx context.Context, name string) error
	// Permission returns the permission of that name, nil if there is none.
	Permission(ctx context.Context, name string) (*Permission, error)
	// SavePermission creates it if the ID is empty, and otherwise overwrites it.
	SavePermission(ctx context.Context, permission Permission) error
}

// Source returns the Secret as it is now, each time it is asked.
type Source interface {
	Secret(ctx context.Context) (Secret, error)
}

// User is a Nautobot account.
type User struct {
	ID                         string
	Username                   string
	FirstName, LastName, Email string
	Active, Superuser, Staff   bool
	Groups                     []Group
}

// Group is a Nautobot group; a reference may leave out the ID or the name.
type Group struct {
	ID   int
	Name string
}

// UserFields are fields of an account to write. A nil pointer, a nil slice or
// an empty password leaves the field alone.
type UserFields struct {
	Username                   string
	Password                   Sensitive
	FirstName, LastName, Email *string
	Active, Superuser, Staff   *bool
	Groups                     []Group // replaces the list
}

// Token is an API token of an account.
type Token struct {
	ID          string
	Key         Sensitive
	Username    string // of the account that it belongs to
	Description string
	Created     time.Time // by Nautobot's clock; zero: unknown
	Expires     time.Time // zero: never
	Writable    bool
}

// TokenFields are fields of a token to write; those left at zero are left alone.
type TokenFields struct {
	Key         Sensitive
	Description *string
	Writable    *bool
	NeverExpire bool
}

// Permission is an object permission of Nautobot.
type Permission struct {
	ID          string
	Name        string
	Enabled     bool
	ObjectTypes []string       // "app.model"
	Actions     []string       // view, add, change, delete
	Constraints map[string]any // nil: none, or not a single plain object
	Groups      []Group
}

// Login is how an account proves who it is: by its password, on the tokens
// endpoint alone, or by a token.
type Login struct {
	Username string
	Password Sensitive
	Token    Sensitive // used if there is no password
}
