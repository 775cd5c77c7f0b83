package servers

import (
	"io"
	"net/http"
	"testing"
)

func TestPasswordSafe(t *testing.T) {
	s := StartPasswordSafe()
	t.Cleanup(s.Stop)
	for _, document := range []string{`{"credential": {}}`, `{"credential": {"username": "second"}}`} {
		if err := s.Put(t.Context(), "12345", []byte(document)); err != nil {
			t.Fatal(err)
		}
		if status, body := askPasswordSafe(t, s, s.APIKey, "12345"); status != http.StatusOK || body != document {
			t.Errorf("answer: %d %s, want %s", status, body, document)
		}
	}
	for _, key := range []string{"", "wrong"} {
		if status, _ := askPasswordSafe(t, s, key, "12345"); status != http.StatusUnauthorized {
			t.Errorf("with the key %q: %d, want 401", key, status)
		}
	}
	if status, _ := askPasswordSafe(t, s, s.APIKey, "54321"); status != http.StatusNotFound {
		t.Errorf("an unknown ID: %d, want 404", status)
	}
	if err := s.Delete(t.Context(), "12345"); err != nil {
		t.Fatal(err)
	}
	if status, _ := askPasswordSafe(t, s, s.APIKey, "12345"); status != http.StatusNotFound {
		t.Errorf("after Delete: %d, want 404", status)
	}
}

func askPasswordSafe(t *testing.T, s *PasswordSafe, key, id string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/credentials/"+id, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Api-Key", key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}
