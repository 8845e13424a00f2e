package evidence

import (
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// WithFS gives options of a log that keeps its files in fs, and flushes its
// tables soon. Its lock is on the real disk all the same.
func (o Options) WithFS(fs vfs.FS) Options {
	o.fs, o.memTable = fs, 256<<10
	return o
}

// Pebble is what lies below the log, for tests that damage it.
func (l *DiskLog) Pebble() *pebble.DB { return l.db }

// BlockKey is the key under which a block that begins with a sequence is kept.
func BlockKey(first uint64) []byte { return key(first, blockKind) }

// SealBlock gives a block of encoded records with a right checksum.
func SealBlock(first uint64, count int, records []byte) []byte {
	b := append(make([]byte, blockHeader), records...)
	putBlockHeader(b, first, count)
	return b
}

const (
	MaxAppend   = maxAppend
	MaxHost     = maxHost
	MaxLine     = maxLine
	SegmentSize = segmentMask + 1
	DiskReserve = diskReserve
)

var (
	MetaFormat = metaFormat
	RowKey     = func(segment uint64, row byte) []byte {
		return append(key(segment<<segmentBits|segmentMask, rowKind), row)
	}
)
