package evidence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// The embedded log keeps records in blocks, one for each commit or part of one.
// A block, version 1, is the value of a Pebble key that holds the sequence of
// its first record:
//
//	version  one byte
//	count    uint32, little-endian: 1 to blockRecords records, of consecutive sequences
//	crc      uint32, little-endian: CRC-32C of the first sequence (8 bytes,
//	         big-endian), version and count, and the records
//	records  each a uvarint length and an encoded record
//
// Pebble has checksums of its own; this one also covers what happens between
// us and Pebble, and a block that stands in another's place.
const (
	blockVersion = 1
	blockHeader  = 1 + 4 + 4
	blockRecords = 4096    // so that one posting of the index costs little to decode
	blockBytes   = 1 << 20 // a block is ended by the record that reaches it
	maxBlock     = blockHeader + blockBytes + maxRecord + binary.MaxVarintLen64
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func blockSum(first uint64, header [5]byte, records []byte) uint32 {
	var b [13]byte
	binary.BigEndian.PutUint64(b[:], first)
	copy(b[8:], header[:])
	return crc32.Update(crc32.Checksum(b[:], castagnoli), castagnoli, records)
}

// putBlockHeader fills in the header of a block whose records stand behind it.
func putBlockHeader(block []byte, first uint64, count int) {
	block[0] = blockVersion
	binary.LittleEndian.PutUint32(block[1:], uint32(count))
	sum := blockSum(first, [5]byte(block[:5]), block[blockHeader:])
	binary.LittleEndian.PutUint32(block[5:], sum)
}

// openBlock checks a block and gives its records, still encoded, and their
// number. Errors are [ErrNewer] or say what is wrong.
func openBlock(first uint64, block []byte) (records []byte, count int, err error) {
	if len(block) < blockHeader || len(block) > maxBlock {
		return nil, 0, fmt.Errorf("%d bytes: want %d to %d", len(block), blockHeader, maxBlock)
	}
	if block[0] > blockVersion {
		return nil, 0, ErrNewer
	}
	sum := blockSum(first, [5]byte(block[:5]), block[blockHeader:])
	if block[0] != blockVersion || binary.LittleEndian.Uint32(block[5:]) != sum {
		return nil, 0, errors.New("checksum differs: its bytes were changed")
	}
	n := binary.LittleEndian.Uint32(block[1:])
	if n == 0 || n > blockRecords {
		return nil, 0, fmt.Errorf("%d records: want 1 to %d", n, blockRecords)
	}
	return block[blockHeader:], int(n), nil
}

// blockReader gives the records of an opened block, one after the other.
type blockReader struct {
	d    decoder
	next uint64 // sequence of the record that comes next
	last uint64
}

func newBlockReader(first uint64, block []byte) (blockReader, error) {
	records, count, err := openBlock(first, block)
	if err != nil {
		return blockReader{}, err
	}
	// One copy a block, of which all its strings are parts.
	return blockReader{decoder{rest: string(records)}, first, first + uint64(count) - 1}, nil
}

// skipTo passes over records before seq without decoding them.
func (r *blockReader) skipTo(seq uint64) {
	for r.next < seq && r.next <= r.last && r.d.err == nil {
		r.d.string(maxRecord)
		r.next++
	}
}

// read decodes the next record into e. It returns false at the end and on an
// error, which then is in r.d.err.
func (r *blockReader) read(e *Entry) bool {
	if r.next > r.last {
		if r.d.rest != "" {
			r.d.fail("%d bytes follow the last record", len(r.d.rest))
		}
		return false
	}
	s := r.d.string(maxRecord)
	if r.d.err == nil {
		r.d.err = e.decode(s)
	}
	e.Seq = r.next
	r.next++
	return r.d.err == nil
}
