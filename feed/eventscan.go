package feed

import (
	"net/netip"
	"strings"
	"time"
)

// scan reads a line as we write it: one object without space between its
// tokens, each member known and there once, strings without escapes and all
// ASCII. It says false, and leaves e half-read, for anything else; the line
// is then read by encoding/json. What it does read, encoding/json would read
// the same way (FuzzEvent).
func (e *Event) scan(s string) bool {
	if len(s) < 2 || s[0] != '{' {
		return false
	}
	seen := 0
	for i := 1; ; i++ {
		name, rest, ok := cutPlain(s[i:])
		if !ok || !strings.HasPrefix(rest, ":") {
			return false
		}
		member := eventMember(name)
		if member == 0 || seen&member != 0 {
			return false
		}
		seen |= member
		if rest, ok = e.scanMember(member, rest[1:]); !ok || rest == "" {
			return false
		}
		if rest == "}" {
			return seen&memberType != 0
		}
		if rest[0] != ',' {
			return false
		}
		i = len(s) - len(rest)
	}
}

const (
	memberTime = 1 << iota
	memberType
	memberRater
	memberURL
	memberAssertion
	memberAddrs
	memberAsk
)

func eventMember(name string) int {
	switch name {
	case "time":
		return memberTime
	case "type":
		return memberType
	case "rater":
		return memberRater
	case "url":
		return memberURL
	case "assertion":
		return memberAssertion
	case "addrs":
		return memberAddrs
	case "ask":
		return memberAsk
	}
	return 0
}

// scanMember reads the value of a member and gives what follows it.
func (e *Event) scanMember(member int, s string) (rest string, ok bool) {
	switch member {
	case memberAsk:
		if rest, ok = strings.CutPrefix(s, "true"); ok {
			e.Ask = true
			return rest, true
		}
		return strings.CutPrefix(s, "false")
	case memberAddrs:
		return e.scanAddrs(s)
	}
	value, rest, ok := cutPlain(s)
	if !ok {
		return "", false
	}
	var err error
	switch member {
	case memberTime:
		e.Time, ok = parseRFC3339(value)
	case memberType:
		e.Type, err = parseEventType(value)
	case memberRater:
		e.Rater = value
	case memberURL:
		e.URL = value
	case memberAssertion:
		e.Assertion, err = parseJudgement(value)
	}
	return rest, ok && err == nil
}

func (e *Event) scanAddrs(s string) (rest string, ok bool) {
	if s, ok = strings.CutPrefix(s, "["); !ok {
		return "", false
	}
	for {
		value, rest, ok := cutPlain(s)
		if !ok || rest == "" {
			return "", false
		}
		a, err := netip.ParseAddr(value)
		if err != nil {
			return "", false
		}
		if e.Addrs == nil {
			e.Addrs = make([]netip.Addr, 0, 2)
		}
		e.Addrs = append(e.Addrs, a)
		switch rest[0] {
		case ',':
			s = rest[1:]
		case ']':
			return rest[1:], true
		default:
			return "", false
		}
	}
}

// cutPlain takes a string in quotation marks off the front of s, if it has
// neither escapes nor bytes outside of printable ASCII.
func cutPlain(s string) (value, rest string, ok bool) {
	if len(s) == 0 || s[0] != '"' {
		return "", "", false
	}
	for i := 1; i < len(s); i++ {
		if plain[s[i]] {
			continue
		}
		if s[i] == '"' {
			return s[1:i], s[i+1:], true
		}
		return "", "", false
	}
	return "", "", false
}

// plain are the bytes that stand for themselves in a JSON string.
var plain = func() (set [256]bool) {
	for c := ' '; c < 0x7f; c++ {
		set[c] = c != '"' && c != '\\'
	}
	return set
}()

// parseRFC3339 reads "2006-01-02T15:04:05Z", perhaps with a fraction of up to
// nine digits. Other zones and odd dates are left to package time.
func parseRFC3339(s string) (time.Time, bool) {
	const n = len("2006-01-02T15:04:05")
	if len(s) <= n || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' || s[len(s)-1] != 'Z' {
		return time.Time{}, false
	}
	year, ok1 := number(s[0:4])
	month, ok2 := number(s[5:7])
	day, ok3 := number(s[8:10])
	hour, ok4 := number(s[11:13])
	minute, ok5 := number(s[14:16])
	second, ok6 := number(s[17:19])
	if year < 1970 || !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6) ||
		month < 1 || month > 12 || day < 1 || day > 28 && day > monthDays(year, month) ||
		hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	nanos := 0
	if fraction := s[n : len(s)-1]; fraction != "" {
		digits, ok := number(fraction[1:])
		if fraction[0] != '.' || len(fraction) < 2 || len(fraction) > 10 || !ok {
			return time.Time{}, false
		}
		for range 10 - len(fraction) {
			digits *= 10
		}
		nanos = digits
	}
	seconds := int64(daysSinceEpoch(year, month, day))*86400 + int64(hour*3600+minute*60+second)
	return time.Unix(seconds, int64(nanos)).UTC(), true
}

func number(s string) (n int, ok bool) {
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + int(d)
	}
	return n, true
}

func monthDays(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSinceEpoch counts days of the Gregorian calendar from 1970-01-01, in
// years that begin in March, so that the odd day is the last of its year.
func daysSinceEpoch(year, month, day int) int {
	if month <= 2 {
		year--
		month += 12
	}
	return 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - 719468
}
