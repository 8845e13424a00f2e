package probe

import (
	"strconv"
	"strings"
	"time"
)

// A site declines visits in DNS, for a host or for all hosts of its domain:
//
//	_headlight.www.example.com. TXT "v=headlight1; visit=no"
//	_headlight.example.com.     TXT "v=headlight1; visit=no"
//
// or in the answer to a visit, for the host that answers, for a time in seconds
// (30 days if none is given, a year at most):
//
//	Headlight: no-visit; max-age=2592000
const optOutLabel = "_headlight."

const (
	defaultOptOut = 30 * 24 * time.Hour
	maxOptOut     = 365 * 24 * time.Hour
)

// optedOut reads a TXT string. The form is that of DKIM and its kin (RFC 6376
// §3.2): tag=value pairs parted by semicolons, the version first; tags not
// known are passed over. Letter case does not matter, so that a no is not
// missed.
func optedOut(text string) bool {
	for i, pair := range strings.Split(text, ";") {
		tag, value, _ := strings.Cut(pair, "=")
		tag, value = strings.TrimSpace(tag), strings.TrimSpace(value)
		if i == 0 && (!strings.EqualFold(tag, "v") || !strings.EqualFold(value, "headlight1")) {
			return false
		}
		if strings.EqualFold(tag, "visit") && strings.EqualFold(value, "no") {
			return true
		}
	}
	return false
}

// noVisit reads a Headlight field of an answer: for how long the host wants no
// visits, 0 if it does not say that.
func noVisit(value string) time.Duration {
	no, age := false, defaultOptOut
	for part := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ';' || r == ',' }) {
		name, arg, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch {
		case strings.EqualFold(strings.TrimSpace(name), "no-visit"):
			no = true
		case strings.EqualFold(strings.TrimSpace(name), "max-age"):
			age = seconds(strings.Trim(strings.TrimSpace(arg), `"`), defaultOptOut, maxOptOut)
		}
	}
	if !no {
		return 0
	}
	return age
}

const maxRetryAfter = 7 * 24 * time.Hour

// retryAfter reads a Retry-After field (RFC 9110 §10.2.3): for how long to stay
// away, 0 if that is not to be read from it, a week at most.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if d := seconds(value, -1, maxRetryAfter); d >= 0 {
		return d
	}
	t, err := httpDate(value)
	if err != nil {
		return 0
	}
	return min(max(t.Sub(now), 0), maxRetryAfter)
}

// seconds reads delay-seconds (RFC 9111 §1.2.2: what is too large is as large
// as can be); otherwise if s is no number of them.
func seconds(s string, otherwise, most time.Duration) time.Duration {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return most
	}
	return min(time.Duration(n)*time.Second, most)
}
