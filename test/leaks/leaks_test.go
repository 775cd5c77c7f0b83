package leaks

import (
	"encoding/base64"
	"strings"
	"testing"
)

func TestFormsInBase64(t *testing.T) {
	const secret = `pä:+%&"\'<$>-secret`
	for _, before := range []string{"", "a:", "ab:", "abc:", "any user:"} {
		for _, after := range []string{"", "x", "\n", "xyz"} {
			for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding} {
				text := encoding.EncodeToString([]byte(before + secret + after))
				found := false
				for _, form := range Forms(secret) {
					found = found || strings.Contains(text, form)
				}
				if !found {
					t.Errorf("not found after %q and before %q", before, after)
				}
			}
		}
	}
	for name, form := range Forms(secret) {
		if len(form) < 10 {
			t.Errorf("%s: %q is found in any text", name, form)
		}
	}
}
