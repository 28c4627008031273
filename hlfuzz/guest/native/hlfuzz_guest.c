/* The implementation of hlfuzz_guest.h as a file of its own: for guests whose sources do not define it themselves. */
#define HLFUZZ_GUEST_IMPLEMENTATION
#include "hlfuzz_guest.h"
