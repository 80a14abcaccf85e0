// gai prints, for each name of its arguments, the name and the addresses that
// getaddrinfo(3) has for it, or the error.
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	for (int i = 1; i < argc; i++) {
		struct addrinfo *found, *a;
		int err = getaddrinfo(argv[i], "80", &hints, &found);
		printf("%s", argv[i]);
		if (err) {
			printf(" error: %s\n", gai_strerror(err));
			continue;
		}
		for (a = found; a; a = a->ai_next) {
			char text[NI_MAXHOST];
			getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
			printf(" %s", text);
		}
		printf("\n");
		freeaddrinfo(found);
	}
	return 0;
}
