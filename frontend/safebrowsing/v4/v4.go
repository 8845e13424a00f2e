// Package v4 has the messages of Safe Browsing v4 in protobuf and JSON.
package v4

//go:generate go run ../generate.go v4.proto z_v4.go
