module hlfuzz.example/wasi

go 1.24
