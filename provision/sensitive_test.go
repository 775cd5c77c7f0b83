package provision

import (
	"bytes"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	texttemplate "text/template"

	"github.com/google/go-cmp/cmp"
)

const secretText = "Zq7vK2xW9bN4mT1c"

// errSecret is an error that carries one.
type errSecret struct{ Token Sensitive }

func (e errSecret) Error() string { return fmt.Sprintf("no such token: %v", e.Token) }

type stringer interface{ String() string }

// carriers are values with a Sensitive somewhere in them.
func carriers() map[string]any {
	type exported struct{ Token Sensitive }
	type unexported struct{ token Sensitive }
	type embedded struct{ Sensitive }
	type deep struct{ inner map[string][]*unexported }
	s := Hide(secretText)
	return map[string]any{
		"itself":                s,
		"a pointer":             &s,
		"a pointer to that":     new(&s),
		"an interface":          stringer(s),
		"a field":               exported{s},
		"a pointer to a struct": &exported{s},
		"an unexported field":   unexported{s},
		"a pointer to that one": &unexported{s},
		"embedded":              embedded{s},
		"a slice":               []Sensitive{s, s},
		"an array":              [1]Sensitive{s},
		"a map":                 map[string]Sensitive{"token": s},
		"a map of pointers":     map[string]*Sensitive{"token": &s},
		"deep down":             deep{map[string][]*unexported{"a": {{s}}}},
		"any":                   []any{s, &s, exported{s}},
		"an error":              errSecret{s},
		"a wrapped error":       fmt.Errorf("create: %w", errSecret{s}),
		"errors joined":         errors.Join(errSecret{s}, fmt.Errorf("%v %+v %#v", s, s, s)),
		"a function's argument": func(Sensitive) {},
		"an account":            Account{Username: "openstack", Password: s, Token: s},
		"a Secret":              Secret{Name: "nautobot-token", Data: map[string]Sensitive{"token": s}},
		"a login":               Login{Username: "openstack", Password: s, Token: s},
		"fields of a user":      UserFields{Password: s},
		"a plan":                []step{{write: createToken{Login{Password: s}, TokenFields{Key: s}}}, {write: updateUser{Fields: UserFields{Password: s}}}},
		"what is desired":       desired{Account: Account{Token: s}, SuperuserToken: s},
		"a run":                 run{reconciler: reconciler{superuserToken: s}, secret: Secret{Data: map[string]Sensitive{"token": s}}},
		"a reflected value":     reflect.ValueOf(s),
	}
}

// mustHide fails if output has the text, as it is or in hexadecimal, or where
// it lies in memory as numbers.
func mustHide(t *testing.T, how string, output string) {
	t.Helper()
	var numbers []string
	for _, b := range []byte(secretText[:4]) {
		numbers = append(numbers, fmt.Sprint(b))
	}
	lower := strings.ToLower(output)
	for form, text := range map[string]string{
		"as it is":       secretText,
		"in part":        secretText[:4],
		"in hexadecimal": hex.EncodeToString([]byte(secretText[:4])),
		"in bytes":       strings.Join(numbers, " "),
		"in JSON bytes":  strings.Join(numbers, ","),
		"in base64":      "WnE3dksy",
	} {
		if strings.Contains(lower, strings.ToLower(text)) {
			t.Errorf("%s shows it %s: %.300s", how, form, output)
		}
	}
}

func TestSensitiveAgainstFmt(t *testing.T) {
	for name, value := range carriers() {
		t.Run(name, func(t *testing.T) {
			for _, flags := range []string{"", "+", "#", "-", " ", "0", "+#", "# ", "40", ".3", "*"} {
				for verb := rune('A'); verb <= 'z'; verb++ {
					format := "%" + flags + string(verb)
					if flags == "*" {
						mustHide(t, format, fmt.Sprintf(format, 5, value))
						continue
					}
					mustHide(t, format, fmt.Sprintf(format, value))
				}
			}
			mustHide(t, "Sprint", fmt.Sprint(value, value))
			mustHide(t, "Sprintln", fmt.Sprintln(value))
			// Mistakes, which vet finds where the format is a constant.
			for _, format := range []string{"no verb", "%w", "%[2]v", "%[1]*[1]d", "%*v", "%.*v", "%!", "%"} {
				mustHide(t, format, fmt.Sprintf(format, value))
				mustHide(t, format, fmt.Sprintf(format, value, value))
				mustHide(t, format, fmt.Errorf(format, value).Error())
			}
		})
	}
}

// TestSensitivePrintsAWord shows that a reader sees that something is there.
func TestSensitivePrintsAWord(t *testing.T) {
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, s := range []Sensitive{Hide(secretText), Hide(""), {}} {
			if got := fmt.Sprintf(format, s); got != redacted {
				t.Errorf("%s: got %q, want %q", format, got, redacted)
			}
		}
	}
	if got, want := fmt.Sprintf("%q", Hide(secretText)), `"[redacted]"`; got != want {
		t.Errorf("%%q: got %s, want %s", got, want)
	}
}

func TestSensitiveAgainstLoggers(t *testing.T) {
	options := &slog.HandlerOptions{AddSource: true, Level: slog.LevelDebug}
	handlers := map[string]func(io.Writer) slog.Handler{
		"text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, options) },
		"json": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, options) },
	}
	for handlerName, handler := range handlers {
		for name, value := range carriers() {
			t.Run(handlerName+" "+name, func(t *testing.T) {
				var out bytes.Buffer
				logger := slog.New(handler(&out))
				logger.Info("hello", "value", value)
				logger.Info("hello", slog.Group("group", "value", value))
				logger.With("value", value).WithGroup("group").Error("hello", "err", value)
				logger.Info("a value that lacks its key", value)
				logger.Info(fmt.Sprint("in the message: ", value))
				mustHide(t, handlerName, out.String())
				if lines := strings.Count(out.String(), "\n"); lines != 5 {
					t.Errorf("got %d lines, want 5: %s", lines, out.String())
				}

				out.Reset()
				plain := log.New(&out, "", log.LstdFlags)
				plain.Print(value)
				plain.Printf("%v %+v %#v %s", value, value, value, value)
				mustHide(t, "package log", out.String())
			})
		}
	}
}

func TestSensitiveAgainstEncoders(t *testing.T) {
	encoders := map[string]func(io.Writer, any) error{
		"json": func(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) },
		"json indent": func(w io.Writer, v any) error {
			b, err := json.MarshalIndent(v, "", " ")
			_, _ = w.Write(b)
			return err
		},
		"xml": func(w io.Writer, v any) error { return xml.NewEncoder(w).Encode(v) },
		"gob": func(w io.Writer, v any) error { return gob.NewEncoder(w).Encode(v) },
		"text/template": func(w io.Writer, v any) error {
			return texttemplate.Must(texttemplate.New("").Parse(`{{.}} {{print .}} {{printf "%#v %q %x" . . .}} {{js .}} {{html .}} {{urlquery .}}`)).Execute(w, v)
		},
		"html/template": func(w io.Writer, v any) error {
			return htmltemplate.Must(htmltemplate.New("").Parse(`<a title="{{.}}" href="{{.}}">{{.}}</a><script>var x = {{.}}</script>`)).Execute(w, v)
		},
	}
	for encoderName, encode := range encoders {
		for name, value := range carriers() {
			t.Run(encoderName+" "+name, func(t *testing.T) {
				var out bytes.Buffer
				if err := encode(&out, value); err != nil { // printing nothing is as good
					mustHide(t, "the error of "+encoderName, err.Error())
				}
				mustHide(t, encoderName, out.String())
			})
		}
	}
}

func TestSensitiveLogsAWord(t *testing.T) {
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("hello", "token", Hide(secretText))
	slog.New(slog.NewJSONHandler(&out, nil)).Info("hello", "token", Hide(secretText))
	for _, want := range []string{" token=[redacted]\n", `"token":"[redacted]"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got %s, want it to have %s", out.String(), want)
		}
	}
}

// TestSensitiveInJSON shows that nothing decodes into one unnoticed, and that
// json gives a word where the text would be.
func TestSensitiveInJSON(t *testing.T) {
	got, err := json.Marshal(Login{Username: "openstack", Password: Hide(secretText)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{"Username":"openstack","Password":"[redacted]","Token":"[redacted]"}`, string(got)); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	var login Login
	err = json.Unmarshal([]byte(`{"Password": "`+secretText+`"}`), &login)
	if err == nil || !login.Password.Empty() {
		t.Fatalf("got error %v, want one: a Sensitive is made by Hide alone", err)
	}
	mustHide(t, "the error of json.Unmarshal", err.Error())
}

func TestSensitiveAgainstDiffs(t *testing.T) {
	other := Hide(secretText + "x")
	type unexported struct{ token Sensitive }
	pairs := map[string][2]any{
		"itself":              {Hide(secretText), other},
		"a pointer":           {new(Hide(secretText)), new(other)},
		"one is nil":          {new(Hide(secretText)), (*Sensitive)(nil)},
		"one is zero":         {Hide(secretText), Sensitive{}},
		"a field":             {Login{Password: Hide(secretText)}, Login{Password: other}},
		"an unexported field": {unexported{Hide(secretText)}, unexported{other}},
		"a slice":             {[]Sensitive{Hide(secretText)}, []Sensitive{other, Hide(secretText)}},
		"a map":               {map[string]Sensitive{"a": Hide(secretText)}, map[string]Sensitive{"b": other}},
		"a token":             {Token{ID: "1", Key: Hide(secretText)}, Token{ID: "2", Key: other}},
		"two types":           {Hide(secretText), "text"},
	}
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			diff := cmp.Diff(pair[0], pair[1], cmp.AllowUnexported(unexported{}))
			if diff == "" {
				t.Error("there is no difference")
			}
			mustHide(t, "cmp.Diff", diff)
		})
	}
}

// TestSensitiveAgainstPanics runs this test once more for each panic: what a
// process prints as it dies can be seen only from outside.
func TestSensitiveAgainstPanics(t *testing.T) {
	const variable = "PROVISION_TEST_PANIC"
	if name := os.Getenv(variable); name != "" {
		panicWith(Hide(secretText), carriers()[name])
	}
	for name := range carriers() {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSensitiveAgainstPanics$")
			cmd.Env = append(os.Environ(), variable+"="+name, "GOTRACEBACK=all")
			out, err := cmd.CombinedOutput()
			if err == nil || !bytes.Contains(out, []byte("panicWith")) {
				t.Fatalf("got error %v, want a panic with its trace: %s", err, out)
			}
			mustHide(t, "the panic", string(out))
		})
	}
}

//go:noinline
func panicWith(_ Sensitive, value any) { panic(value) }

func TestSensitiveCompares(t *testing.T) {
	tests := map[string]struct {
		a, b  Sensitive
		equal bool
	}{
		"the same text":          {Hide("a"), Hide("a"), true},
		"other text":             {Hide("a"), Hide("b"), false},
		"text and its beginning": {Hide("ab"), Hide("a"), false},
		"zero and zero":          {Sensitive{}, Sensitive{}, true},
		"zero and no text":       {Sensitive{}, Hide(""), true},
		"zero and text":          {Sensitive{}, Hide("a"), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.a.Equal(test.b); got != test.equal {
				t.Errorf("got %v, want %v", got, test.equal)
			}
			if got := test.b.Equal(test.a); got != test.equal {
				t.Errorf("the other way round: got %v, want %v", got, test.equal)
			}
			for _, s := range []Sensitive{test.a, test.b} {
				if got, want := s.Empty(), s.Reveal() == ""; got != want {
					t.Errorf("Empty: got %v, want %v", got, want)
				}
			}
		})
	}
	if got := Hide(secretText).Reveal(); got != secretText {
		t.Errorf("Reveal: got %q, want %q", got, secretText)
	}
}
