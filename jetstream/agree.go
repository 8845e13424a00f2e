package jetstream

import "context"

// Agree gives the value that the nodes hold for a key, for ever: what the first of
// them that was asked gave. A key is as that of Claim, and apart from those. Without
// a majority it is an error, as Append's.
func (n *Node) Agree(ctx context.Context, key, value string) (string, error) {
	if err := validateKey(key); err != nil {
		return "", err
	}
	return n.settle(ctx, "agreed="+key, value, 0)
}
