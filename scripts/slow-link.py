#!/usr/bin/env python3
"""A slow link for measurements: passes UDP datagrams between one client and a server on this machine, each way at
a given rate and after a given delay. Prints the port to send to. Ends on SIGTERM."""
import argparse
import heapq
import select
import socket
import time

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--to", type=int, required=True, metavar="PORT", help="the server's UDP port")
parser.add_argument("--kbps", type=float, required=True, help="each way, kbit/s, UDP and IP headers counted")
parser.add_argument("--delay", type=float, default=0.0, metavar="MS", help="each way, besides the time to send")
args = parser.parse_args()

HEADERS = 28
front, back = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
front.bind(("127.0.0.1", 0))
back.connect(("127.0.0.1", args.to))
print(front.getsockname()[1], flush=True)

client = None
free = {front: 0.0, back: 0.0}  # when each way has sent what it holds
waiting = []  # (when, number, way, datagram)
number = 0
while True:
    patience = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
    ready, _, _ = select.select([front, back], [], [], patience)
    for source in ready:
        try:
            if source is front:
                datagram, client = front.recvfrom(65536)
            else:
                datagram = back.recv(65536)
        except ConnectionRefusedError:  # nobody listens behind it: as if it was lost
            continue
        way = back if source is front else front
        free[way] = max(free[way], time.monotonic()) + (len(datagram) + HEADERS) * 8e-3 / args.kbps
        number += 1
        heapq.heappush(waiting, (free[way] + args.delay * 1e-3, number, way, datagram))
    while waiting and waiting[0][0] <= time.monotonic():
        _, _, way, datagram = heapq.heappop(waiting)
        try:
            if way is back:
                back.send(datagram)
            elif client is not None:
                front.sendto(datagram, client)
        except ConnectionRefusedError:
            pass
