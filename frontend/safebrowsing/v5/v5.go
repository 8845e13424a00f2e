// Package v5 has the messages of Safe Browsing v5 in protobuf and JSON.
package v5

//go:generate go run ../generate.go v5.proto z_v5.go
