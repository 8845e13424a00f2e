package evidence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A record on disk, version 1:
//
//	head       one byte: version in the upper four bits, below them
//	           1 = has an object, 2 = has an expiry, 4 = has a count other than 1
//	assertion  one byte
//	time       uvarint, milliseconds since the Unix epoch
//	rater      uvarint length, bytes
//	subject    kind byte, uvarint length, bytes
//	object     likewise, if it has one
//	expires    uvarint, milliseconds since the Unix epoch, if it has one
//	count      uvarint, if it has one
//
// There is one encoding of a record and one record of an encoding: numbers are
// as short as they can be, and nothing follows the end.
const (
	recordVersion = 1
	hasObject     = 1
	hasExpires    = 2
	hasCount      = 4
)

// maxRecord bounds an encoded record: two keys, a rater, and less than 64 bytes
// for all the rest.
const maxRecord = 2*MaxKey + MaxRater + 64

// ErrNewer says that a log or a record was written by a newer Headlight than
// the one that reads it.
var ErrNewer = errors.New("written by a newer Headlight than this one: upgrade it")

var errTruncated = errors.New("record is cut short")

// AppendBinary implements encoding.BinaryAppender: it validates r and appends
// its canonical encoding to b. Times are cut to the millisecond.
func (r *Record) AppendBinary(b []byte) ([]byte, error) {
	if err := r.Validate(); err != nil {
		return b, err
	}
	return r.appendValid(b), nil
}

// appendValid is AppendBinary of a record that is known to be valid.
func (r *Record) appendValid(b []byte) []byte {
	head := byte(recordVersion << 4)
	if r.Object.Kind != 0 {
		head |= hasObject
	}
	if !r.Expires.IsZero() {
		head |= hasExpires
	}
	if r.Count != 1 {
		head |= hasCount
	}
	b = append(b, head, byte(r.Assertion))
	b = binary.AppendUvarint(b, uint64(r.Time.UnixMilli()))
	b = appendString(b, r.Rater)
	b = appendString(append(b, byte(r.Subject.Kind)), r.Subject.Key)
	if head&hasObject != 0 {
		b = appendString(append(b, byte(r.Object.Kind)), r.Object.Key)
	}
	if head&hasExpires != 0 {
		b = binary.AppendUvarint(b, uint64(r.Expires.UnixMilli()))
	}
	if head&hasCount != 0 {
		b = binary.AppendUvarint(b, uint64(r.Count))
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler. It takes canonical
// encodings of valid records only, so that AppendBinary gives back the same
// bytes; a record of a later version is [ErrNewer]. It copies what it keeps.
func (r *Record) UnmarshalBinary(b []byte) error {
	if len(b) > maxRecord {
		return fmt.Errorf("record of %d bytes: at most %d", len(b), maxRecord)
	}
	if err := r.decode(string(b)); err != nil {
		return err
	}
	return r.Validate()
}

// decode reads an encoding whose content a checksum vouches for: it checks the
// form, not the fields. The strings of r are parts of s.
func (r *Record) decode(s string) error {
	d := decoder{rest: s}
	head, assertion := d.byte(), d.byte()
	if d.err == nil && (head>>4 > recordVersion || int(assertion) >= len(assertionNames)) {
		return ErrNewer
	}
	if head>>4 != recordVersion || head&0xf > hasObject|hasExpires|hasCount {
		d.fail("record begins with %#02x", head)
	}
	*r = Record{Assertion: Assertion(assertion), Time: d.time(), Rater: d.string(MaxRater), Count: 1}
	r.Subject = d.subject()
	if head&hasObject != 0 {
		r.Object = d.subject()
	}
	if head&hasExpires != 0 {
		r.Expires = d.time()
	}
	if head&hasCount != 0 {
		n := d.uvarint(1<<32 - 1)
		if n == 1 {
			d.fail("a count of 1 is written out")
		}
		r.Count = uint32(n)
	}
	if d.rest != "" {
		d.fail("%d bytes follow the record", len(d.rest))
	}
	return d.err
}

// decoder takes a record apart from the front. After the first error, which it
// keeps, everything it gives is zero.
type decoder struct {
	rest string
	err  error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
	d.rest = ""
}

func (d *decoder) short() {
	if d.err == nil {
		d.err = errTruncated
	}
	d.rest = ""
}

func (d *decoder) byte() byte {
	if d.rest == "" {
		d.short()
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

// uvarint reads a number up to limit in its shortest form.
func (d *decoder) uvarint(limit uint64) uint64 {
	var v uint64
	for i := range min(len(d.rest), binary.MaxVarintLen64) {
		b := d.rest[i]
		v |= uint64(b&0x7f) << (7 * i)
		if b >= 0x80 {
			continue
		}
		if v > limit || i > 0 && b == 0 || i == binary.MaxVarintLen64-1 && b > 1 {
			d.fail("number %d is over its bound of %d, or not in its shortest form", v, limit)
			return 0
		}
		d.rest = d.rest[i+1:]
		return v
	}
	d.short()
	return 0
}

func (d *decoder) string(limit uint64) string {
	n := d.uvarint(limit)
	if n > uint64(len(d.rest)) {
		d.short()
		return ""
	}
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) time() time.Time { return time.UnixMilli(int64(d.uvarint(maxMilli))).UTC() }

func (d *decoder) subject() Subject {
	kind := d.byte()
	if int(kind) >= len(kindNames) {
		if d.err == nil {
			d.err = ErrNewer
		}
		d.rest = ""
	}
	return Subject{Kind(kind), d.string(MaxKey)}
}

// clone gives a record that shares no memory with the block it came from.
func (r *Record) clone() Record {
	c := *r
	c.Rater = strings.Clone(r.Rater)
	c.Subject.Key = strings.Clone(r.Subject.Key)
	c.Object.Key = strings.Clone(r.Object.Key)
	return c
}
