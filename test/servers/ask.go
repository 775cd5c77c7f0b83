package servers

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// A NautobotUser is an account, as Nautobot shows it.
type NautobotUser struct {
	ID        string
	Username  string
	Email     string
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Superuser bool   `json:"is_superuser"`
	Staff     bool   `json:"is_staff"`
	Active    bool   `json:"is_active"`
	Groups    []struct{ Name string }
}

// GroupNames are the names of the account's groups, sorted.
func (u NautobotUser) GroupNames() []string {
	var names []string
	for _, group := range u.Groups {
		names = append(names, group.Name)
	}
	slices.Sort(names)
	return names
}

// A NautobotToken is an API token, as Nautobot shows it.
type NautobotToken struct {
	ID          string
	Key         string
	Display     string
	Description string
	Expires     *time.Time
	Writable    bool `json:"write_enabled"`
}

// A Login is the value of an Authorization header; "" is none.
type Login string

// ByToken is the login of whoever has an API token.
func ByToken(token string) Login { return Login("Token " + token) }

// ByPassword is the login of an account by its password.
func ByPassword(username, password string) Login {
	return Login("Basic " + base64.StdEncoding.EncodeToString([]byte(username+":"+password)))
}

// Admin is the login of the superuser.
func (n *Nautobot) Admin() Login { return ByToken(n.Token) }

// Ask sends a request for what is below /api/users/, and returns the status and
// the body of the answer. A body of nil is none.
func (n *Nautobot) Ask(ctx context.Context, who Login, method, path string, body any) (int, []byte, error) {
	var sent []byte
	if body != nil {
		var err error
		if sent, err = json.Marshal(body); err != nil {
			return 0, nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, n.URL+"/api/users/"+path, bytes.NewReader(sent))
	if err != nil {
		return 0, nil, err
	}
	if who != "" {
		request.Header.Set("Authorization", string(who))
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Content-Type", "application/json")
	response, err := direct.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// direct keeps no connections: Nautobot's own server hangs up without a word.
var direct = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// Do is Ask for what has to succeed; into may be nil. The error does not tell
// the body, which may hold a key.
func (n *Nautobot) Do(ctx context.Context, who Login, method, path string, body, into any) error {
	status, answer, err := n.Ask(ctx, who, method, path, body)
	if err == nil && status >= 300 {
		err = fmt.Errorf("%s %s: %d %s", method, path, status, http.StatusText(status))
	}
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(answer, into)
}

// User returns the account of that name; nil if there is none.
func (n *Nautobot) User(ctx context.Context, username string) (*NautobotUser, error) {
	var found struct{ Results []NautobotUser }
	err := n.Do(ctx, n.Admin(), http.MethodGet, "users/?depth=1&exclude_m2m=false&username="+url.QueryEscape(username), nil, &found)
	if err != nil || len(found.Results) == 0 {
		return nil, err
	}
	return &found.Results[0], nil
}

// Tokens are those of whoever asks.
func (n *Nautobot) Tokens(ctx context.Context, who Login) ([]NautobotToken, error) {
	var found struct{ Results []NautobotToken }
	err := n.Do(ctx, who, http.MethodGet, "tokens/?limit=1000", nil, &found)
	return found.Results, err
}

// Snapshot is everything about accounts and rights in the database, one line
// per object, with hashes in place of secrets.
func (n *Nautobot) Snapshot(ctx context.Context) (string, error) {
	return n.database.query(ctx, `
SELECT concat_ws(' ', 'user', id, username, md5(password), quote_literal(first_name), quote_literal(last_name),
  quote_literal(email), is_active, is_superuser, is_staff,
  ARRAY(SELECT name FROM auth_group g JOIN auth_user_groups m ON m.group_id = g.id WHERE m.user_id = u.id ORDER BY name))
  FROM auth_user u ORDER BY id;
SELECT concat_ws(' ', 'token', t.id, username, md5(key), quote_literal(description), expires, write_enabled)
  FROM users_token t JOIN auth_user u ON u.id = user_id ORDER BY t.id;
SELECT concat_ws(' ', 'group', id, name) FROM auth_group ORDER BY id;
SELECT concat_ws(' ', 'permission', id, name, enabled, actions, constraints,
  ARRAY(SELECT name FROM auth_group g JOIN users_objectpermission_groups m ON m.group_id = g.id WHERE m.objectpermission_id = p.id ORDER BY name))
  FROM users_objectpermission p ORDER BY id;
`)
}
