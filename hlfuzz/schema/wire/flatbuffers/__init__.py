"""The FlatBuffers wire: encoder, reader, verifier, and the program by which the native verifier works."""
