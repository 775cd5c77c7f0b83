package provision

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

const (
	someUsername = "rxdb-lab-openstack"
	someToken    = "Zq7vK2xW9bN4mT1cR8fG5hJ3pL6sD0yA7eU4iO2k"
	somePassword = "Xw3rTy8uIo5pLk"
	oneMegabyte  = 1 << 20
)

// The keys of a Secret that are read, in the order of their problems.
var secretKeys = []string{"hostname", "url", "username", "password", "token", "email"}

// goodData has every key, each as it should be.
func goodData() map[string]string {
	return map[string]string{
		"hostname": "nautobot.example",
		"url":      "https://nautobot.example",
		"username": someUsername,
		"password": somePassword,
		"token":    someToken,
		"email":    "openstack@lab.example",
	}
}

func labelled(data map[string]string) Secret {
	secret := Secret{
		Namespace: "openstack", Name: "nautobot-token",
		Labels: map[string]string{labelKey: labelValue},
		Data:   map[string]Sensitive{},
	}
	for key, value := range data {
		secret.Data[key] = Hide(value)
	}
	return secret
}

// badValues are values of one key, with all others as they should be, and the
// one problem of each.
var badValues = map[string]struct{ key, value, want string }{
	"a username of 151 characters":                {"username", strings.Repeat("a", 151), usernameProblem},
	"a username of 1 MB":                          {"username", strings.Repeat("a", oneMegabyte), usernameProblem},
	"a username that begins with a dot":           {"username", ".admin", usernameProblem},
	"a username that begins with an @":            {"username", "@admin", usernameProblem},
	"a username that begins with a hyphen":        {"username", "-admin", usernameProblem},
	"a username that ends with a dot":             {"username", "admin.", usernameProblem},
	"a username that ends with an underscore":     {"username", "admin_", usernameProblem},
	"a username of one sign":                      {"username", "+", usernameProblem},
	"a username with a blank":                     {"username", "open stack", usernameProblem},
	"a username with a colon":                     {"username", "open:stack", usernameProblem},
	"a username with a slash":                     {"username", "open/stack", usernameProblem},
	"a username with a parenthesis":               {"username", "open(stack)x", usernameProblem},
	"a username with a NUL":                       {"username", "open\x00stack", usernameProblem},
	"a username with a newline":                   {"username", "open\nstack", usernameProblem},
	"a username with a Cyrillic letter":           {"username", "аdmin", usernameProblem},
	"a username with a Greek letter":              {"username", "nοva", usernameProblem},
	"a username with a full-width letter":         {"username", "admiｎ", usernameProblem},
	"a username with a ligature":                  {"username", "ﬁle", usernameProblem},
	"a username with a dotless i":                 {"username", "admın", usernameProblem},
	"a username with the Kelvin sign":             {"username", "\u212Aube", usernameProblem},
	"a username with a zero-width joiner":         {"username", "ad\u200Dmin", usernameProblem},
	"a username with a soft hyphen":               {"username", "ad\u00ADmin", usernameProblem},
	"a username with a combining accent":          {"username", "nova\u0301x", usernameProblem},
	"a username written right to left":            {"username", "\u202Enimda", usernameProblem},
	"a username with an ending no-break space":    {"username", "admin\u00A0", whiteSpaceProblem("username")},
	"a username with a leading ideographic space": {"username", "\u3000admin", whiteSpaceProblem("username")},

	"a token of 1 character":               {"token", someToken[:1], tokenLengthProblem(1)},
	"a token of 38 characters":             {"token", someToken[:38], tokenLengthProblem(38)},
	"a token of 39 characters":             {"token", someToken[:39], tokenLengthProblem(39)},
	"a token of 41 characters":             {"token", someToken + "A", tokenLengthProblem(41)},
	"a token of 1 MB":                      {"token", strings.Repeat("A", oneMegabyte), tokenLengthProblem(oneMegabyte)},
	"a token with a newline more":          {"token", someToken[:20] + "\n" + someToken[20:], tokenLengthProblem(41)},
	"a token with a blank":                 {"token", someToken[:20] + " " + someToken[21:], tokenProblem},
	"a token with a tab":                   {"token", someToken[:20] + "\t" + someToken[21:], tokenProblem},
	"a token with a newline inside":        {"token", someToken[:20] + "\n" + someToken[21:], tokenProblem},
	"a token with a carriage return":       {"token", someToken[:20] + "\r" + someToken[21:], tokenProblem},
	"a token with a NUL":                   {"token", someToken[:20] + "\x00" + someToken[21:], tokenProblem},
	"a token with a DEL":                   {"token", someToken[:20] + "\x7F" + someToken[21:], tokenProblem},
	"a token that ends in a DEL":           {"token", someToken[:39] + "\x7F", tokenProblem},
	"a token with a letter outside ASCII":  {"token", someToken[:20] + "ü" + someToken[21:], tokenProblem},
	"a token with a no-break space":        {"token", someToken[:20] + "\u00A0" + someToken[21:], tokenProblem},
	"a token of 40 bytes in 39 characters": {"token", someToken[:38] + "ü", tokenLengthProblem(39)},
	"a token from Nautobot's development":  {"token", "0123456789abcdef0123456789abcdef01234567", tokenKnownProblem},
	"a token from pynautobot's manual":     {"token", "d6f4e314a5b5fefd164995169f28ae32d987704f", tokenKnownProblem},
	"a token from Nautobot's manual":       {"token", "9fc9b897abec9ada2da6aec9dbc34596293c9cb9", tokenKnownProblem},
	"a token from a manual with a newline": {"token", "9fc9b897abec9ada2da6aec9dbc34596293c9cb9\n", tokenKnownProblem},

	"a password of 129 characters":             {"password", strings.Repeat("p", 129), passwordLengthProblem(129)},
	"a password of 129 characters, not ASCII":  {"password", strings.Repeat("ü", 129), passwordLengthProblem(129)},
	"a password of 1 MB":                       {"password", strings.Repeat("p", oneMegabyte), passwordLengthProblem(oneMegabyte)},
	"a password with a newline inside":         {"password", "Xw3rTy\n8uIo5pLk", passwordControlProblem},
	"a password with a NUL":                    {"password", "Xw3rTy\x008uIo5pLk", passwordControlProblem},
	"a password with a tab":                    {"password", "Xw3rTy\t8uIo5pLk", passwordControlProblem},
	"a password with a DEL":                    {"password", "Xw3rTy\x7F8uIo5pLk", passwordControlProblem},
	"a password with a C1 control":             {"password", "Xw3rTy\u00858uIo5pLk", passwordControlProblem},
	"a password that ends in a unit separator": {"password", "Xw3rTy8uIo5pLk\x1F", passwordControlProblem}, // Python drops it

	"an e-mail address without @":         {"email", "openstack", emailProblem},
	"an e-mail address without a host":    {"email", "openstack@", emailProblem},
	"an e-mail address without a name":    {"email", "@lab.example", emailProblem},
	"an e-mail address with a name":       {"email", "Open Stack <openstack@lab.example>", emailProblem},
	"an e-mail address in brackets":       {"email", "<openstack@lab.example>", emailProblem},
	"two e-mail addresses":                {"email", "a@lab.example, b@lab.example", emailProblem},
	"an e-mail address with a comment":    {"email", "openstack@lab.example (lab)", emailProblem},
	"an e-mail address with a blank":      {"email", "open stack@lab.example", emailProblem},
	"an e-mail address with a newline":    {"email", "openstack@lab.example\nBcc: a@b.example", emailProblem},
	"an e-mail address with a NUL":        {"email", "open\x00stack@lab.example", emailProblem},
	"an e-mail address of 255 characters": {"email", strings.Repeat("a", 243) + "@lab.example", emailProblem},
	"an e-mail address of 1 MB":           {"email", strings.Repeat("a", oneMegabyte) + "@lab.example", emailProblem},

	"a hostname of another server":    {"hostname", "evil.example", `key "hostname": ` + otherHostProblem},
	"a hostname of 1 MB":              {"hostname", strings.Repeat("a", oneMegabyte), `key "hostname": ` + otherHostProblem},
	"a hostname with user name":       {"hostname", "nautobot.example@evil.example", `key "hostname": ` + hostProblem},
	"a hostname with a newline":       {"hostname", "nautobot.example\nevil.example", `key "hostname": ` + hostProblem},
	"a hostname with a NUL":           {"hostname", "nautobot.example\x00", `key "hostname": ` + hostProblem},
	"a URL of another server":         {"url", "https://evil.example/", `key "url": ` + otherHostProblem},
	"a URL with a password":           {"url", "https://Xw3r:Ty8uIo5pLk@nautobot.example/", `key "url": ` + hostProblem},
	"a URL of 1 MB":                   {"url", "https://" + strings.Repeat("a", oneMegabyte), `key "url": ` + otherHostProblem},
	"a URL with a newline":            {"url", "https://nautobot.example/\nx", `key "url": ` + hostProblem},
	"a URL that is not http":          {"url", "file:///etc/passwd", `key "url": ` + hostProblem},
	"a URL with a colon after a host": {"url", "https://nautobot.example:", `key "url": ` + hostProblem},
}

// The texts of all problems.
const (
	labelProblem           = "the label token/type: nautobot is missing"
	usernameProblem        = `key "username": want 1 to 150 ASCII letters, digits and @ . + - _, starting and ending with a letter or digit`
	tokenProblem           = `key "token": want visible ASCII characters only, no blanks`
	tokenKnownProblem      = `key "token" is a token from public documentation: generate your own`
	passwordControlProblem = `key "password" contains control characters`
	emailProblem           = `key "email" is not an email address`
	hostProblem            = "want HOST, HOST:PORT or a URL, without user information or control characters"
	otherHostProblem       = "names a host other than this run's Nautobot (--nautobot-url, --nautobot-hostname)"
)

func tokenLengthProblem(n int) string {
	return fmt.Sprintf(`key "token" has %d characters, want exactly 40`, n)
}

func passwordLengthProblem(n int) string {
	return fmt.Sprintf(`key "password" has %d characters, want at most 128`, n)
}

func missingProblem(key string) string { return fmt.Sprintf("key %q is missing", key) }
func emptyProblem(key string) string   { return fmt.Sprintf("key %q is empty", key) }
func utf8Problem(key string) string    { return fmt.Sprintf("key %q is not valid UTF-8", key) }

func noValueProblem(key string) string {
	return fmt.Sprintf("key %q: the template that rendered it found no value", key)
}

func whiteSpaceProblem(key string) string {
	return fmt.Sprintf("key %q starts or ends with white space, which Nautobot drops when it stores the value", key)
}

func newlineWarning(key string) string {
	return fmt.Sprintf("key %q ends in a newline, which is dropped", key)
}

// problemsOf are what ParseAccount finds.
func problemsOf(t *testing.T, secret Secret) []string {
	t.Helper()
	account, err := parseAccount(secret, testHosts(t))
	if err == nil {
		return nil
	}
	if diff := cmp.Diff(Account{}, account); diff != "" {
		t.Errorf("a refused Secret gives an account all the same (-want +got):\n%s", diff)
	}
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("got error %v of type %T, want a *Refusal", err, err)
	}
	if got, want := err.Error(), strings.Join(refusal.Problems, "; "); got != want {
		t.Errorf("got error %q, want %q", got, want)
	}
	return refusal.Problems
}

func TestParseAccountRefusesBadValues(t *testing.T) {
	for name, test := range badValues {
		t.Run(name, func(t *testing.T) {
			data := goodData()
			data[test.key] = test.value
			if diff := cmp.Diff([]string{test.want}, problemsOf(t, labelled(data))); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// TestParseAccountRefusesWhatNoKeyMayHold tries the same on every key.
func TestParseAccountRefusesWhatNoKeyMayHold(t *testing.T) {
	tests := map[string]struct {
		change func(good string) string
		want   func(key string) string
	}{
		"nothing":                              {func(string) string { return "" }, emptyProblem},
		"a newline only":                       {func(string) string { return "\n" }, emptyProblem},
		"a line of Windows only":               {func(string) string { return "\r\n" }, emptyProblem},
		"two newlines only":                    {func(string) string { return "\n\n" }, whiteSpaceProblem},
		"a blank only":                         {func(string) string { return " " }, whiteSpaceProblem},
		"binary":                               {func(string) string { return "\x7FELF\x02\x01\x01\x00\xFF\xFE" }, utf8Problem},
		"invalid UTF-8 at the end":             {func(good string) string { return good + "\xC3" }, utf8Problem},
		"an encoded surrogate":                 {func(good string) string { return "\xED\xA0\x80" + good }, utf8Problem},
		"an overlong NUL":                      {func(good string) string { return good + "\xC0\x80" }, utf8Problem},
		"UTF-16":                               {func(good string) string { return "\xFF\xFE" + strings.Join(strings.Split(good, ""), "\x00") }, utf8Problem},
		"1 MB of binary":                       {func(string) string { return strings.Repeat("\xFF", oneMegabyte) }, utf8Problem},
		"what a template without a value is":   {func(string) string { return "<no value>" }, noValueProblem},
		"the same with a newline":              {func(string) string { return "<no value>\n" }, noValueProblem},
		"a template that found a part":         {func(good string) string { return good + "-<no value>" }, noValueProblem},
		"what Go prints of nothing":            {func(string) string { return "<nil>" }, noValueProblem},
		"what a format makes of nothing":       {func(good string) string { return good + "%!s(<nil>)" }, noValueProblem},
		"what JSON calls nothing":              {func(string) string { return "null" }, noValueProblem},
		"what Python calls nothing":            {func(string) string { return "None\n" }, noValueProblem},
		"a blank before it":                    {func(good string) string { return " " + good }, whiteSpaceProblem},
		"a blank after it":                     {func(good string) string { return good + " " }, whiteSpaceProblem},
		"a blank after it and a newline":       {func(good string) string { return good + " \n" }, whiteSpaceProblem},
		"a tab after it":                       {func(good string) string { return good + "\t" }, whiteSpaceProblem},
		"a newline before it":                  {func(good string) string { return "\n" + good }, whiteSpaceProblem},
		"two newlines after it":                {func(good string) string { return good + "\n\n" }, whiteSpaceProblem},
		"two lines of Windows after it":        {func(good string) string { return good + "\r\n\r\n" }, whiteSpaceProblem},
		"a carriage return after it":           {func(good string) string { return good + "\r" }, whiteSpaceProblem},
		"a newline, then a carriage return":    {func(good string) string { return good + "\n\r" }, whiteSpaceProblem},
		"two carriage returns and a newline":   {func(good string) string { return good + "\r\r\n" }, whiteSpaceProblem},
		"a no-break space after it":            {func(good string) string { return good + "\u00A0" }, whiteSpaceProblem},
		"a no-break space before it":           {func(good string) string { return "\u00A0" + good }, whiteSpaceProblem},
		"a next-line control after it":         {func(good string) string { return good + "\u0085" }, whiteSpaceProblem},
		"a line separator after it":            {func(good string) string { return good + "\u2028" }, whiteSpaceProblem},
		"an ideographic space before it":       {func(good string) string { return "\u3000" + good }, whiteSpaceProblem},
		"a vertical tab and a form feed after": {func(good string) string { return good + "\v\f" }, whiteSpaceProblem},
	}
	for name, test := range tests {
		for _, key := range secretKeys {
			t.Run(key+" is "+name, func(t *testing.T) {
				data := goodData()
				data[key] = test.change(data[key])
				if optional := key == "hostname" || key == "url" || key == "email"; optional && strings.Trim(data[key], "\r\n") == "" && len(data[key]) != 2 || optional && data[key] == "\r\n" {
					if problems := problemsOf(t, labelled(data)); problems != nil {
						t.Errorf("an empty %s is an absent one, got %q", key, problems)
					}
					return
				}
				if diff := cmp.Diff([]string{test.want(key)}, problemsOf(t, labelled(data))); diff != "" {
					t.Errorf("problems (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestParseAccountWantsTheLabel(t *testing.T) {
	tests := map[string]struct {
		labels map[string]string
		want   []string
	}{
		"the label and others":         {map[string]string{"token/type": "nautobot", "app": "nova"}, nil},
		"no labels":                    {nil, []string{labelProblem}},
		"other labels":                 {map[string]string{"app": "nautobot"}, []string{labelProblem}},
		"the label with another value": {map[string]string{"token/type": "netbox"}, []string{labelProblem}},
		"the label without a value":    {map[string]string{"token/type": ""}, []string{labelProblem}},
		"the value in capitals":        {map[string]string{"token/type": "Nautobot"}, []string{labelProblem}},
		"the key in capitals":          {map[string]string{"Token/type": "nautobot"}, []string{labelProblem}},
		"the value with a blank":       {map[string]string{"token/type": "nautobot "}, []string{labelProblem}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			secret := labelled(goodData())
			secret.Labels = test.labels
			if diff := cmp.Diff(test.want, problemsOf(t, secret)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseAccountAccepts(t *testing.T) {
	longName := "a" + strings.Repeat(".", 148) + "z"
	longEmail := strings.Repeat("a", 242) + "@lab.example"
	tests := map[string]struct {
		set     map[string]string
		without []string
		change  func(*Account) // what differs from the account of goodData
	}{
		"everything as it should be": {change: func(*Account) {}},
		"username and token alone": {
			without: []string{"hostname", "url", "password", "email"},
			change:  func(a *Account) { a.Password, a.Email = Sensitive{}, "" },
		},
		"keys that are not known": {
			set:    map[string]string{"superuser": "true", "groups": "admins", "Token": "x"},
			change: func(*Account) {},
		},
		"a username of one letter":               {set: map[string]string{"username": "a"}, change: func(a *Account) { a.Username = "a" }},
		"a username of one digit":                {set: map[string]string{"username": "7"}, change: func(a *Account) { a.Username = "7" }},
		"a username of two letters":              {set: map[string]string{"username": "Az"}, change: func(a *Account) { a.Username = "Az" }},
		"a username with every sign":             {set: map[string]string{"username": "a@b.c+d-e_f"}, change: func(a *Account) { a.Username = "a@b.c+d-e_f" }},
		"a username of 150 characters":           {set: map[string]string{"username": longName}, change: func(a *Account) { a.Username = longName }},
		"a username in capitals":                 {set: map[string]string{"username": "ADMIN"}, change: func(a *Account) { a.Username = "ADMIN" }},
		"a password with a colon":                {set: map[string]string{"password": ":a:b:"}, change: func(a *Account) { a.Password = Hide(":a:b:") }},
		"a password of one character":            {set: map[string]string{"password": "x"}, change: func(a *Account) { a.Password = Hide("x") }},
		"a password with blanks inside":          {set: map[string]string{"password": "a b  c"}, change: func(a *Account) { a.Password = Hide("a b  c") }},
		"a password of 128 characters":           {set: map[string]string{"password": strings.Repeat("p", 128)}, change: func(a *Account) { a.Password = Hide(strings.Repeat("p", 128)) }},
		"a password of 128 characters, no ASCII": {set: map[string]string{"password": strings.Repeat("ü", 128)}, change: func(a *Account) { a.Password = Hide(strings.Repeat("ü", 128)) }},
		"a password with <no value apart>":       {set: map[string]string{"password": "<no  value>"}, change: func(a *Account) { a.Password = Hide("<no  value>") }},
		"a token of signs": {
			set:    map[string]string{"token": strings.Repeat(`!~:"'\/%`, 5)},
			change: func(a *Account) { a.Token = Hide(strings.Repeat(`!~:"'\/%`, 5)) },
		},
		"a token near one of a manual": {
			set:    map[string]string{"token": "0123456789abcdef0123456789abcdef01234568"},
			change: func(a *Account) { a.Token = Hide("0123456789abcdef0123456789abcdef01234568") },
		},
		"an e-mail address of 254 characters": {set: map[string]string{"email": longEmail}, change: func(a *Account) { a.Email = longEmail }},
		"a newline after the token": {
			set:    map[string]string{"token": someToken + "\n"},
			change: func(a *Account) { a.Warnings = []string{newlineWarning("token")} },
		},
		"a line end of Windows after the password": {
			set:    map[string]string{"password": somePassword + "\r\n"},
			change: func(a *Account) { a.Warnings = []string{newlineWarning("password")} },
		},
		"a newline after every value": {
			set: func() map[string]string {
				data := goodData()
				for key := range data {
					data[key] += "\n"
				}
				return data
			}(),
			change: func(a *Account) {
				for _, key := range secretKeys {
					a.Warnings = append(a.Warnings, newlineWarning(key))
				}
			},
		},
		"a token of 40 characters with the newline": {
			set: map[string]string{"token": someToken[:39] + "x\n"},
			change: func(a *Account) {
				a.Token, a.Warnings = Hide(someToken[:39]+"x"), []string{newlineWarning("token")}
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			data := goodData()
			maps.Copy(data, test.set)
			for _, key := range test.without {
				delete(data, key)
			}
			want := Account{
				Username: someUsername, Password: Hide(somePassword), Token: Hide(someToken), Email: "openstack@lab.example",
			}
			test.change(&want)
			got, err := parseAccount(labelled(data), testHosts(t))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("account (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseAccountTellsAllProblemsAtOnce(t *testing.T) {
	tests := map[string]struct {
		data map[string]string
		want []string
	}{
		"nothing there": {
			data: nil,
			want: []string{labelProblem, missingProblem("username"), missingProblem("token")},
		},
		"every key empty": {
			data: map[string]string{"hostname": "", "url": "", "username": "", "password": "", "token": "", "email": ""},
			want: []string{
				labelProblem, emptyProblem("username"), emptyProblem("password"), emptyProblem("token"),
			},
		},
		"something wrong with every key": {
			data: map[string]string{
				"hostname": "evil.example",
				"url":      "https://user@nautobot.example",
				"username": "open stack",
				"password": strings.Repeat("p\x00", 65),
				"token":    someToken[:38],
				"email":    "openstack",
			},
			want: []string{
				labelProblem, `key "hostname": ` + otherHostProblem, `key "url": ` + hostProblem, usernameProblem,
				passwordLengthProblem(130), passwordControlProblem, tokenLengthProblem(38), emailProblem,
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			secret := labelled(test.data)
			secret.Labels = nil
			for range 50 { // the order never changes
				if diff := cmp.Diff(test.want, problemsOf(t, secret)); diff != "" {
					t.Fatalf("problems (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestParseAccountShowsNothingOfAValue looks for any four characters in a row
// of a value in what is said about it.
func TestParseAccountShowsNothingOfAValue(t *testing.T) {
	const canary = "Qz9~Vx7=Kw5|Jy3?" // which occurs in no sentence
	values := map[string]string{
		"the canary":                   canary,
		"with a newline":               canary + "\n",
		"with white space around":      " " + canary + "\n\n",
		"within a template":            "<no value>" + canary,
		"not UTF-8":                    canary + "\xFF",
		"with a NUL":                   canary + "\x00" + canary,
		"very long":                    strings.Repeat(canary, 4096),
		"a token and more":             someToken + canary,
		"as long as a token":           canary + canary + canary[:8],
		"as long as a token, no ASCII": canary + canary + canary[:7] + "ü",
		"a host":                       canary + ".example",
		"a host and a port":            "host:" + canary,
		"a URL":                        "https://" + canary + ":" + canary + "@nautobot.example/" + canary,
		"a URL with a query":           "https://evil.example/" + canary + "?" + canary + "#" + canary,
		"a URL that does not parse":    "https://[" + canary,
		"a URL with a bad escape":      "https://nautobot.example/%zz" + canary,
		"a scheme":                     canary + "://nautobot.example",
		"an e-mail address":            canary + "@" + canary,
		"an e-mail address with name":  canary + " <" + canary + "@lab.example>",
	}
	for name, value := range values {
		for _, key := range secretKeys {
			data := goodData()
			data[key] = value
			account, err := parseAccount(labelled(data), testHosts(t))
			account.Username, account.Email = "", "" // these two may be shown
			said := fmt.Sprintf("%+v %v", account, err)
			for i := range len(canary) - 3 {
				if part := canary[i : i+4]; strings.Contains(said, part) {
					t.Errorf("%s, %s: %q shows in: %.200s", key, name, part, said)
					break
				}
			}
		}
	}
}

func TestParseToken(t *testing.T) {
	const other = "Aq7vK2xW9bN4mT1cR8fG5hJ3pL6sD0yA7eU4iO2k"
	tests := map[string]struct {
		data map[string]string
		want Sensitive
		err  string
	}{
		"under the first key":            {map[string]string{"apitoken": someToken, "token": other}, Hide(someToken), ""},
		"under the second key":           {map[string]string{"token": other}, Hide(other), ""},
		"with a newline":                 {map[string]string{"token": other + "\n"}, Hide(other), ""},
		"under neither":                  {map[string]string{"password": other}, Sensitive{}, missingProblem("apitoken")},
		"the first key counts, if wrong": {map[string]string{"apitoken": "", "token": other}, Sensitive{}, emptyProblem("apitoken")},
		"too short":                      {map[string]string{"token": other[:39]}, Sensitive{}, tokenLengthProblem(39)},
		"of documentation":               {map[string]string{"token": knownTokens[0]}, Sensitive{}, tokenKnownProblem},
		"too short, under the first key": {map[string]string{"apitoken": other[:39]}, Sensitive{}, `key "apitoken" has 39 characters, want exactly 40`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseToken(labelled(test.data), "apitoken", "token")
			if !got.Equal(test.want) {
				t.Error("got another token")
			}
			said := ""
			if err != nil {
				said = err.Error()
				if !errors.As(err, new(*Refusal)) {
					t.Errorf("got an error of type %T, want a *Refusal", err)
				}
			}
			if diff := cmp.Diff(test.err, said); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzParseAccount checks what is accepted against the rules, written down once
// more in another way, and what is said against a list of all texts.
func FuzzParseAccount(f *testing.F) {
	add := func(label string, data map[string]string) {
		var present byte
		for i, key := range secretKeys {
			if _, ok := data[key]; ok {
				present |= 1 << i
			}
		}
		f.Add(label, present, data["hostname"], data["url"], data["username"], data["password"], data["token"], data["email"])
	}
	add(labelValue, goodData())
	add(labelValue, nil)
	add("", map[string]string{"username": someUsername, "token": someToken})
	for _, test := range badValues {
		data := goodData()
		data[test.key] = test.value[:min(len(test.value), 512)]
		add(labelValue, data)
		delete(data, "url")
		data["token"] += "\r\n"
		add(labelValue, data)
	}

	hosts := testHosts(f)
	f.Fuzz(func(t *testing.T, label string, present byte, hostname, url, username, password, token, email string) {
		data := map[string]string{}
		for i, value := range []string{hostname, url, username, password, token, email} {
			if present&(1<<i) != 0 {
				data[secretKeys[i]] = value
			}
		}
		secret := labelled(data)
		secret.Labels[labelKey] = label

		account, err := parseAccount(secret, hosts)
		again, errAgain := parseAccount(secret, hosts)
		if fmt.Sprint(err) != fmt.Sprint(errAgain) || !cmp.Equal(account, again) {
			t.Fatalf("asked twice, answered differently: %v, %v", err, errAgain)
		}
		said := account.Warnings
		if err != nil {
			var refusal *Refusal
			if !errors.As(err, &refusal) || len(refusal.Problems) == 0 {
				t.Fatalf("got error %v, want a *Refusal with problems", err)
			}
			said = refusal.Problems
		} else {
			checkAccepted(t, label, data, account)
		}
		for _, text := range said {
			if !slices.Contains(textsAbout(data), text) {
				t.Errorf("said %q, which is none of the fixed texts", text)
			}
		}
		if slices.Sort(said); len(slices.Compact(said)) != len(said) {
			t.Errorf("said twice: %q", said)
		}
	})
}

// textsAbout are all problems and warnings that a Secret's data may have. All
// they hold of the data is numbers of characters.
func textsAbout(data map[string]string) []string {
	texts := []string{
		labelProblem, missingProblem("username"), missingProblem("token"), usernameProblem, tokenProblem, tokenKnownProblem,
		`key "token" has fewer than 8 different characters: generate a random one`,
		passwordControlProblem, emailProblem, `key "hostname": ` + hostProblem, `key "hostname": ` + otherHostProblem,
		`key "url": ` + hostProblem, `key "url": ` + otherHostProblem,
		tokenLengthProblem(utf8.RuneCountInString(withoutNewline(data["token"]))),
		passwordLengthProblem(utf8.RuneCountInString(withoutNewline(data["password"]))),
	}
	for _, key := range secretKeys {
		texts = append(texts, emptyProblem(key), utf8Problem(key), noValueProblem(key), whiteSpaceProblem(key), newlineWarning(key))
	}
	return texts
}

func withoutNewline(text string) string {
	for _, end := range []string{"\r\n", "\n"} {
		if cut, ok := strings.CutSuffix(text, end); ok {
			return cut
		}
	}
	return text
}

func checkAccepted(t *testing.T, label string, data map[string]string, account Account) {
	t.Helper()
	for key, got := range map[string]string{
		"username": account.Username, "password": account.Password.Reveal(), "token": account.Token.Reveal(), "email": account.Email,
	} {
		if want := withoutNewline(data[key]); got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
	var warnings []string
	for _, key := range secretKeys {
		value, ok := data[key]
		value = withoutNewline(value)
		empty := value == "" && (key == "hostname" || key == "url" || key == "email") // the same as absent
		if ok && !empty && (value == "" || !utf8.ValidString(value) || strings.Contains(value, "<no value>")) {
			t.Errorf("%s: accepted %q", key, value)
		}
		if first, _ := utf8.DecodeRuneInString(value); ok && unicode.IsSpace(first) {
			t.Errorf("%s: accepted %q with white space before it", key, value)
		}
		if last, _ := utf8.DecodeLastRuneInString(value); ok && unicode.IsSpace(last) {
			t.Errorf("%s: accepted %q with white space after it", key, value)
		}
		if strings.HasSuffix(data[key], "\n") && !empty {
			warnings = append(warnings, newlineWarning(key))
		}
	}
	if diff := cmp.Diff(warnings, account.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	if label != "nautobot" {
		t.Errorf("accepted with label %q", label)
	}

	const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	name := account.Username
	if len(name) < 1 || len(name) > 150 || strings.Trim(name, alphanumeric+"@.+-_") != "" ||
		!strings.Contains(alphanumeric, name[:1]) || !strings.Contains(alphanumeric, name[len(name)-1:]) {
		t.Errorf("accepted username %q", name)
	}
	for _, c := range []byte(name) {
		if !strings.ContainsRune(alphanumeric+"@.+-_", rune(c)) {
			t.Errorf("accepted username %q with %q", name, c)
		}
	}
	token := account.Token.Reveal()
	if len(token) != 40 {
		t.Errorf("accepted a token of %d bytes", len(token))
	}
	for _, c := range []byte(token) {
		if c < '!' || c > '~' {
			t.Errorf("accepted a token with %q", c)
		}
	}
	n := 0
	for _, r := range account.Password.Reveal() {
		if n++; r < ' ' || r >= 0x7F && r < 0xA0 {
			t.Errorf("accepted a password with %q", r)
		}
	}
	if n > 128 {
		t.Errorf("accepted a password of %d characters", n)
	}
	if account.Email != "" && (strings.Count(account.Email, "@") == 0 || len(account.Email) > 254 || strings.ContainsAny(account.Email, "\r\n\x00<>")) {
		t.Errorf("accepted e-mail address %q", account.Email)
	}
}
