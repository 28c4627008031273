/* A command: says hello to its arguments, and prints what it finds in standard input and in /etc/motd. */
#include <stdio.h>
#include <stdlib.h>

static void copy(FILE *from) {
    char chunk[256];
    for (size_t got; (got = fread(chunk, 1, sizeof chunk, from)) > 0;) fwrite(chunk, 1, got, stdout);
}

int main(int argc, char **argv) {
    const char *greeting = getenv("GREETING");
    for (int i = 1; i < argc; i++) printf("%s, %s\n", greeting ? greeting : "hello", argv[i]);
    copy(stdin);
    FILE *motd = fopen("/etc/motd", "r");
    if (motd) copy(motd);
    if (ferror(stdout) || fflush(stdout)) {
        perror("hello");
        return EXIT_FAILURE;
    }
    return argc > 1 ? EXIT_SUCCESS : 2;
}
