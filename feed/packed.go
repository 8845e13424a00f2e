package feed

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/gzip"
)

// SizeError says that a list is bigger than it may be.
type SizeError struct {
	Limit int64 // bytes
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("the list is bigger than %d bytes unpacked", e.Limit)
}

// Unpack gives the text in r: as it stands, or what is inside if r begins as
// gzip, bzip2 or zip does (of a zip file, its first member). Reading more than
// maxBytes of text gives a *SizeError: 10 MB of zip can hold 10 GB.
func Unpack(r io.Reader, maxBytes int64) (io.Reader, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	head, err := in.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	var text io.Reader = in
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		if text, err = gzip.NewReader(in); err != nil {
			return nil, fmt.Errorf("unpack gzip: %w", err)
		}
	case bytes.HasPrefix(head, []byte("BZh")):
		text = bzip2.NewReader(in)
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		if text, err = openZip(in); err != nil {
			return nil, fmt.Errorf("unpack zip: %w", err)
		}
	}
	return &bounded{text: text, left: maxBytes, limit: maxBytes}, nil
}

// bounded passes limit bytes and then asks for one more, to tell a text that
// ends there from one that does not.
type bounded struct {
	text        io.Reader
	left, limit int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left == 0 {
		var one [1]byte
		if n, err := io.ReadFull(b.text, one[:]); n == 0 {
			return 0, err
		}
		return 0, &SizeError{Limit: b.limit}
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.text.Read(p)
	b.left -= int64(n)
	return n, err
}

// The local file header, APPNOTE.TXT 6.3.10 §4.3.7.
const (
	zipHeaderLen  = 30
	zipEncrypted  = 1 << 0
	zipDescriptor = 1 << 3 // sizes and sum follow the data, §4.3.9
	zipStored     = 0
	zipDeflated   = 8
)

// openZip reads the first member of a zip file as a stream, from its local
// header alone: the directory is at the end, and the stream need not be held
// until then. The sum is checked at the end of the member.
func openZip(in *bufio.Reader) (io.Reader, error) {
	for {
		var h [zipHeaderLen]byte
		if _, err := io.ReadFull(in, h[:]); err != nil {
			return nil, noEOF(err)
		}
		if string(h[:4]) != "PK\x03\x04" {
			return nil, errors.New("it has no members")
		}
		flags := binary.LittleEndian.Uint16(h[6:])
		method := binary.LittleEndian.Uint16(h[8:])
		size := binary.LittleEndian.Uint32(h[18:])
		names := int(binary.LittleEndian.Uint16(h[26:])) + int(binary.LittleEndian.Uint16(h[28:]))
		if _, err := in.Discard(names); err != nil {
			return nil, noEOF(err)
		}
		m := &zipMember{in: in, sum: crc32.NewIEEE(), want: binary.LittleEndian.Uint32(h[14:]), descriptor: flags&zipDescriptor != 0}
		switch {
		case flags&zipEncrypted != 0:
			return nil, errors.New("the member is encrypted")
		case method == zipDeflated:
			m.text = flate.NewReader(in)
		case method == zipStored && !m.descriptor && size == 0:
			continue // a folder
		case method == zipStored && !m.descriptor && size != 1<<32-1:
			m.text = io.LimitReader(in, int64(size))
			m.left = int64(size)
		default:
			return nil, fmt.Errorf("packing method %d is not read", method)
		}
		return m, nil
	}
}

// zipMember is the text of one member; it checks the sum when that is read.
type zipMember struct {
	in         *bufio.Reader
	text       io.Reader
	left       int64 // of a stored member: a short one would look like its end
	sum        hash.Hash32
	want       uint32
	descriptor bool
}

func (m *zipMember) Read(p []byte) (int, error) {
	n, err := m.text.Read(p)
	m.sum.Write(p[:n])
	if m.left > 0 {
		m.left -= int64(n)
	}
	if err != io.EOF {
		return n, err
	}
	if m.left > 0 {
		return n, io.ErrUnexpectedEOF
	}
	if m.descriptor {
		// §4.3.9.3: the descriptor may or may not begin with a signature.
		d, err := m.in.Peek(8)
		if len(d) < 8 {
			return n, noEOF(err)
		}
		m.want = binary.LittleEndian.Uint32(d)
		if string(d[:4]) == "PK\x07\x08" {
			m.want = binary.LittleEndian.Uint32(d[4:])
		}
	}
	if m.sum.Sum32() != m.want {
		return n, errors.New("unpack zip: wrong checksum")
	}
	return n, io.EOF
}

// noEOF is for places where an end is not the end of a text.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
