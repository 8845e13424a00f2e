package blocklist

// DecodeBody reads what stands between the head and the checksum of a file.
func (p *Publisher) DecodeBody(body string) error { return p.decodeBody(body) }

// EncodeBody is what DecodeBody reads.
func (p *Publisher) EncodeBody() string {
	b := p.encode()
	return string(b[len(fileHead) : len(b)-32])
}

// Save writes the file.
func (p *Publisher) Save() error { return p.save() }

// NamesReader is namesReader.
var NamesReader = namesReader
