package netmap

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

const maxLine = 4096 // bytes, with its end; the longest in the tables looked at has 270

// readText reads CSV or pfx2as: of comma and tab, what comes first in the first
// line that has one tells which.
func (b *Builder) readText(in *bufio.Reader, sum *Summary) error {
	for n := 1; ; n++ {
		at := EntryError{Line: n, Offset: sum.Bytes}
		line, err := in.ReadSlice('\n')
		size := int64(len(line))
		if err == bufio.ErrBufferFull {
			at.Err = fmt.Errorf("longer than %d bytes", maxLine)
			line = nil
			for err == bufio.ErrBufferFull {
				var rest []byte
				rest, err = in.ReadSlice('\n')
				size += int64(len(rest))
			}
		}
		if err != nil && err != io.EOF {
			return &EntryError{Line: n, Offset: sum.Bytes, Err: err}
		}
		atEnd := err == io.EOF
		text := strings.TrimSpace(string(line))
		if n == 1 {
			text = strings.TrimPrefix(text, "\ufeff")
		}
		if at.Err != nil || text != "" && text[0] != ';' && text[0] != '#' {
			kept := false
			if at.Err == nil {
				kept, at.Err = b.line(text, sum)
			}
			if err := sum.take(kept, at); err != nil {
				return err
			}
		}
		sum.Bytes += size
		if atEnd {
			return nil
		}
	}
}

func (b *Builder) line(text string, sum *Summary) (bool, error) {
	if sum.Format == "" {
		i := strings.IndexAny(text, ",\t")
		switch {
		case i < 0:
			return false, errors.New("neither comma nor tab")
		case text[i] == ',':
			sum.Format = "csv"
		default:
			sum.Format = "pfx2as"
		}
	}
	if sum.Format == "csv" {
		return b.csv(text)
	}
	return b.pfx2as(text)
}

var errFields = errors.New("too few fields")

// csv takes "start,end,asn" or "start,end,asn,organisation"; what follows is
// not looked at. A field may stand in quotes (RFC 4180), but a line is a line:
// a quote that is not closed must not swallow the file.
func (b *Builder) csv(text string) (bool, error) {
	var fields [4]string
	more := true
	for i := range fields {
		if !more && i < 3 {
			return false, errFields
		}
		if !more {
			break
		}
		var ok bool
		if fields[i], text, more, ok = cutField(text); !ok {
			return false, errors.New("a quote is not closed, or something follows it")
		}
	}
	first, err := parseAddr(fields[0])
	if err != nil {
		return false, err
	}
	last, err := parseAddr(fields[1])
	if err != nil {
		return false, err
	}
	as, err := parseAS(fields[2])
	if err != nil {
		return false, err
	}
	kept, err := b.add(first, last, as)
	if !kept || err != nil {
		return kept, err
	}
	return kept, b.name(as, fields[3])
}

// cutField cuts the first field off a line of CSV; more says that another one
// follows, ok that the quotes are in order.
func cutField(line string) (field, rest string, more, ok bool) {
	if !strings.HasPrefix(line, `"`) {
		field, rest, more = strings.Cut(line, ",")
		return field, rest, more, true
	}
	line = line[1:]
	for {
		text, after, closed := strings.Cut(line, `"`)
		field += text
		switch {
		case !closed:
			return "", "", false, false
		case strings.HasPrefix(after, `"`):
			field, line = field+`"`, after[1:]
		case after == "":
			return field, "", false, true
		case after[0] == ',':
			return field, after[1:], true, true
		default:
			return "", "", false, false
		}
	}
}

// parseAddr takes an address, an IPv4 address also as a decimal number.
func parseAddr(s string) (netip.Addr, error) {
	if !strings.ContainsAny(s, ".:") {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			return netip.Addr{}, errors.New("an address that is none")
		}
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(n))
		return netip.AddrFrom4(b), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, errors.New("an address that is none")
	}
	return a, nil
}

// parseAS takes an AS number in decimal, with or without "AS" before it.
func parseAS(s string) (uint32, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "AS"), 10, 32)
	if err != nil {
		return 0, errors.New("an AS number that is none")
	}
	return uint32(n), nil
}

// pfx2as takes "prefix\tlength\tasn" or "prefix/length\tasn".
//
// Several origins are separated by "_", the one that most peers saw first, and
// the members of an AS_SET by ",": the first number is taken.
// https://publicdata.caida.org/datasets/routing/routeviews-prefix2as/README.txt
func (b *Builder) pfx2as(text string) (bool, error) {
	prefix, rest, ok := strings.Cut(text, "\t")
	if !ok {
		return false, errFields
	}
	length, asn := "", rest
	if p, l, slash := strings.Cut(prefix, "/"); slash {
		prefix, length = p, l
	} else if length, asn, ok = strings.Cut(rest, "\t"); !ok {
		return false, errFields
	}
	a, err := netip.ParseAddr(prefix)
	if err != nil || a.Zone() != "" {
		return false, errors.New("an address that is none")
	}
	n, err := strconv.ParseUint(length, 10, 8)
	if err != nil {
		return false, errLength
	}
	if i := strings.IndexAny(asn, "_,"); i >= 0 {
		asn = asn[:i]
	}
	as, err := parseAS(asn)
	if err != nil {
		return false, err
	}
	return b.addPrefix(a, int(n), as)
}
