//go:build !amd64

package message

func marks(s string) uint64 { return marksOf(s) }
