package provision

import "log/slog"

const redacted = "[redacted]"

// Sensitive is text that must never be shown: a password or a token. No verb,
// logger or encoder prints it, because the text sits in a closure: fmt does
// not call methods on unexported fields, so a string type would show there.
// The zero value means "no text".
type Sensitive struct{ reveal func() string }

// Hide wraps text.
func Hide(text string) Sensitive {
	return Sensitive{func() string { return text }}
}

// Reveal returns the text. Every caller is a place to review.
func (s Sensitive) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// Empty reports whether there is no text, or text of length 0.
func (s Sensitive) Empty() bool { return s.Reveal() == "" }

// Equal compares the texts; go-cmp uses it too.
func (s Sensitive) Equal(other Sensitive) bool { return s.Reveal() == other.Reveal() }

func (Sensitive) String() string               { return redacted }
func (Sensitive) GoString() string             { return redacted }
func (Sensitive) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Sensitive) MarshalText() ([]byte, error) { return []byte(redacted), nil }
