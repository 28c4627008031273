// The network filter of schemas/filter.toml in Go: peers named in /etc/refused are refused, one a line, and refused data is
// reported on standard error.
package main

import (
	"bytes"
	"fmt"
	"os"
	"unsafe"
)

const (
	wait    int32 = 0
	http    int32 = 1
	tls     int32 = 2
	refused int32 = -1
)

//go:wasmimport env log
func hostLog(level uint32, text unsafe.Pointer, length uint32)

//go:wasmimport env forward
func hostForward(data unsafe.Pointer, length uint32) uint32

var (
	forwarded uint64
	// What the host was given room in, and what it is to read: the collector must not take either during a call.
	placed [][]byte
	answer []byte
)

// Gives the host room for what it passes.
//
//go:wasmexport hlfuzz_alloc
func alloc(length uint32) unsafe.Pointer {
	room := make([]byte, max(1, length))
	placed = append(placed, room)
	return unsafe.Pointer(unsafe.SliceData(room))
}

//go:wasmexport on_new_connection
func onNewConnection(id uint64, host unsafe.Pointer, length uint32, port uint32) int32 {
	defer forget()
	forwarded = 0
	if length == 0 || port == 0 || port > 65535 || isRefused(unsafe.Slice((*byte)(host), length)) {
		return -1
	}
	return 1
}

//go:wasmexport on_data
func onData(data unsafe.Pointer, length uint32) int32 {
	defer forget()
	kind := kindOf(unsafe.Slice((*byte)(data), length))
	if kind > 0 {
		forwarded += uint64(hostForward(data, length))
	}
	if kind == refused {
		text := []byte("neither HTTP/1 nor TLS")
		hostLog(1, unsafe.Pointer(unsafe.SliceData(text)), uint32(len(text)))
		fmt.Fprintf(os.Stderr, "refused %d bytes\n", length)
	}
	return kind
}

//go:wasmexport summary
func summary(data unsafe.Pointer, length uint32) uint64 {
	defer forget()
	switch kindOf(unsafe.Slice((*byte)(data), length)) {
	case http:
		answer = []byte("HTTP/1 request")
	case tls:
		answer = []byte("TLS record")
	case wait:
		answer = []byte("too short to say")
	default:
		answer = []byte("unknown")
	}
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(answer))))<<32 | uint64(len(answer))
}

//go:wasmexport on_close
func onClose() uint64 { return forwarded }

func forget() { placed = placed[:0] }

func isRefused(host []byte) bool {
	list, err := os.ReadFile("/etc/refused")
	if err != nil {
		return false
	}
	for line := range bytes.Lines(list) {
		if bytes.Equal(bytes.TrimSuffix(line, []byte("\n")), host) {
			return true
		}
	}
	return false
}

func kindOf(data []byte) int32 {
	if len(data) < 5 {
		return wait
	}
	if data[0] >= 20 && data[0] <= 23 && data[1] == 3 {
		return tls
	}
	for i := 0; i+1 < len(data) && data[i] >= 'A' && data[i] <= 'Z'; i++ {
		if data[i+1] == ' ' {
			return http
		}
	}
	return refused
}

func main() {}
