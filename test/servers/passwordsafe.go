package servers

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"sync"
)

// PasswordSafe is a web API in the manner of PasswordSafe, inside this program:
//
//	GET /credentials/ID with the header X-Api-Key
//
// answers with a document, 404 if there is none, and 401 to a wrong key.
type PasswordSafe struct {
	URL    string // without a slash at the end
	APIKey string

	server *httptest.Server
	mutex  sync.Mutex
	stored map[string][]byte
}

// StartPasswordSafe starts an empty one. It runs until Stop.
func StartPasswordSafe() *PasswordSafe {
	s := &PasswordSafe{APIKey: rand.Text(), stored: map[string][]byte{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /credentials/{id}", s.answer)
	s.server = httptest.NewServer(mux)
	s.URL = s.server.URL
	return s
}

// Put stores a document, which is a JSON object, under an ID. It never fails; it
// has OpenBao's signature, and so has Delete.
func (s *PasswordSafe) Put(_ context.Context, id string, document []byte) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.stored[id] = document
	return nil
}

// Delete removes a document.
func (s *PasswordSafe) Delete(_ context.Context, id string) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.stored, id)
	return nil
}

// Stop ends it.
func (s *PasswordSafe) Stop() { s.server.Close() }

func (s *PasswordSafe) answer(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Api-Key") != s.APIKey {
		http.Error(w, `{"error": "wrong API key"}`, http.StatusUnauthorized)
		return
	}
	s.mutex.Lock()
	document, found := s.stored[r.PathValue("id")]
	s.mutex.Unlock()
	if !found {
		http.Error(w, `{"error": "no such credential"}`, http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(document) // a client that has gone needs no answer
}
