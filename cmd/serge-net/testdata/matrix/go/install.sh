#!/bin/sh -e
# One Go program twice: static, and with the C library's resolver.
CGO_ENABLED=0 go build -o static get.go
CGO_ENABLED=1 go build -tags netcgo -o cgo get.go
go version >version
