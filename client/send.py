"""Hand a request to `client.warm`: ``python -I -S send.py SOCKET WORD...``.

Ends with code 1 where nobody listens. Standard library only, and no package of this project: it
must start at once.
"""

import json
import socket
import sys


def main() -> int:
    """Send the words and return the exit code."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(sys.argv[1])
        connection.sendall(json.dumps(sys.argv[2:]).encode())
    except OSError:
        return 1
    finally:
        connection.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
