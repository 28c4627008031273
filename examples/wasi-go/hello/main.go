// A command: says hello to its arguments, and prints what it finds in standard input and in /etc/motd.
package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	greeting := os.Getenv("GREETING")
	if greeting == "" {
		greeting = "hello"
	}
	for _, name := range os.Args[min(1, len(os.Args)):] {
		fmt.Printf("%s, %s\n", greeting, name)
	}
	_, err := io.Copy(os.Stdout, os.Stdin)
	if motd, missing := os.ReadFile("/etc/motd"); missing == nil && err == nil {
		_, err = os.Stdout.Write(motd)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		os.Exit(1)
	}
	if len(os.Args) < 2 {
		os.Exit(2)
	}
}
