// Asks `rlpd-robot serve` for one action. The bytes are those of docs/policy_server.md; little-endian machines only.
// g++ -std=c++17 policy_client.cpp -lzmq -o policy_client && ./policy_client tcp://127.0.0.1:5564 0.1 0.2 0.3 0.4
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>
#include <zmq.h>

#pragma pack(push, 1)
struct Request {
    char magic[4] = {'R', 'L', 'P', 'Q'};
    uint16_t version = 1, flags = 0;
    uint64_t sequence = 0, stamp = 0;
    uint32_t budget_us = 0, size = 0;
};
struct Reply {
    char magic[4];
    uint16_t version, status;
    uint64_t sequence, stamp;
    int64_t policy_version;
    uint32_t server_us, size;
};
#pragma pack(pop)
static_assert(sizeof(Request) == 32 && sizeof(Reply) == 40, "the layout of docs/policy_server.md");

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_DEALER);
    int linger = 0, immediate = 1, timeout_ms = 5000;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(socket, ZMQ_IMMEDIATE, &immediate, sizeof immediate);
    zmq_setsockopt(socket, ZMQ_SNDTIMEO, &timeout_ms, sizeof timeout_ms);
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms);
    if (zmq_connect(socket, argv[1]) != 0) return 1;

    std::vector<float> observation;
    for (int i = 2; i < argc; i++) observation.push_back(std::strtof(argv[i], nullptr));
    Request request;
    request.sequence = 1;
    request.stamp = std::chrono::steady_clock::now().time_since_epoch().count();
    request.budget_us = 1000u * timeout_ms;
    request.size = observation.size();
    std::vector<char> frame(sizeof request + 4 * observation.size());
    std::memcpy(frame.data(), &request, sizeof request);
    std::memcpy(frame.data() + sizeof request, observation.data(), 4 * observation.size());
    if (zmq_send(socket, frame.data(), frame.size(), 0) < 0) return 1;

    std::vector<char> answer(1 << 16);
    int got = zmq_recv(socket, answer.data(), answer.size(), 0);
    Reply reply;
    if (got < (int)sizeof reply) return 1;  // no answer in time: hold or stop the robot
    std::memcpy(&reply, answer.data(), sizeof reply);
    if (std::memcmp(reply.magic, "RLPA", 4) || reply.sequence != 1 || reply.status != 0) return 1;
    std::vector<float> action(reply.size);
    if (got != (int)(sizeof reply + 4 * action.size())) return 1;
    std::memcpy(action.data(), answer.data() + sizeof reply, 4 * action.size());
    std::printf("policy %lld:", (long long)reply.policy_version);
    for (float a : action) std::printf(" %g", a);
    std::printf("\n");
    zmq_close(socket);
    zmq_ctx_term(context);
    return 0;
}
