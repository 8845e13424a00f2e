package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"headlight.example/evidence"
	"headlight.example/frontend/httpapi"
)

// minSecret is how long a token must be: 16 characters of hexadecimal are 64
// bits, beyond guessing over a network.
const minSecret = 16

// tokens reads the file of tokens: a line a token, "NAME RATER SECRET [RATE]".
func (c *Config) tokens(e *env) ([]httpapi.Token, error) {
	if c.Tokens.File == "" {
		return nil, nil
	}
	name := c.path(c.Tokens.File)
	text, err := readSecret(e, name)
	if err != nil {
		return nil, fmt.Errorf("tokens.file: %w", err)
	}
	var tokens []httpapi.Token
	seen := make(map[string]bool)
	line := 0
	for l := range strings.Lines(string(text)) {
		line++
		fields := strings.Fields(l)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		t, err := parseToken(fields)
		if err == nil && seen[t.Name] {
			err = fmt.Errorf("there is another token named %s", t.Name)
		}
		if err != nil {
			return nil, &configError{name, line, err}
		}
		seen[t.Name] = true
		tokens = append(tokens, t)
	}
	return tokens, nil
}

// parseToken reads a line of the file. Its errors do not repeat the secret.
func parseToken(fields []string) (httpapi.Token, error) {
	if len(fields) != 3 && len(fields) != 4 {
		return httpapi.Token{}, fmt.Errorf("want NAME RATER SECRET [RATE], got %d words", len(fields))
	}
	rater := fields[1]
	if rater == "-" {
		rater = "" // asks only
	} else if err := evidence.ValidateRater(rater); err != nil {
		return httpapi.Token{}, err
	} else if role := evidence.Role(rater); role == "service" || role == "starter" {
		return httpapi.Token{}, fmt.Errorf("the role %q is Headlight's own; want feed, operator or user", role)
	}
	if len(fields[2]) < minSecret {
		return httpapi.Token{}, fmt.Errorf("the secret of %s is shorter than %d characters; make one with: head -c 24 /dev/urandom | base64", fields[0], minSecret)
	}
	t := httpapi.NewToken(fields[0], rater, fields[2])
	if len(fields) == 4 {
		rate, err := strconv.ParseFloat(fields[3], 64)
		if err != nil || rate <= 0 {
			return httpapi.Token{}, fmt.Errorf("the rate of %s is not a number above 0", fields[0])
		}
		t.Rate = rate
	}
	return t, nil
}

// readSecret reads a file that holds a secret, and complains about one that
// everybody may read.
func readSecret(e *env, name string) ([]byte, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0 {
		e.notef("warning: everybody on this machine may read %s; mend with: chmod 600 %s", printable(name), printable(name))
	}
	return b, nil
}
