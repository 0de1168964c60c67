/* Publishes COUNT persistent messages of 400 bytes, mandatory and confirmed, with at most WINDOW unconfirmed at a time.

   publish HOST PORT VHOST USER PASSWORD EXCHANGE ROUTING_KEY COUNT WINDOW */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <amqp.h>
#include <amqp_tcp_socket.h>

static const char id[] = "0192f0c8-7b1e-7c3a-9d52-1f4b6a7c8d9e";

static void must(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "%s failed\n", what);
        exit(1);
    }
}

/* Waits for one frame; gives how many messages it confirms. */
static uint64_t confirmed(amqp_connection_state_t connection, uint64_t before)
{
    amqp_frame_t frame;
    amqp_maybe_release_buffers(connection);
    must(amqp_simple_wait_frame(connection, &frame) == AMQP_STATUS_OK, "reading");
    if (frame.frame_type != AMQP_FRAME_METHOD)
        return 0;
    must(frame.payload.method.id == AMQP_BASIC_ACK_METHOD, "confirming");
    amqp_basic_ack_t *ack = frame.payload.method.decoded;
    return ack->multiple ? ack->delivery_tag - before : 1;
}

int main(int argc, char **argv)
{
    must(argc == 10, "publish HOST PORT VHOST USER PASSWORD EXCHANGE ROUTING_KEY COUNT WINDOW:");
    uint64_t count = strtoull(argv[8], NULL, 10), window = strtoull(argv[9], NULL, 10);
    amqp_connection_state_t connection = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(connection);
    must(amqp_socket_open(socket, argv[1], atoi(argv[2])) == AMQP_STATUS_OK, "connecting");
    amqp_rpc_reply_t reply = amqp_login(connection, argv[3], 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, argv[4], argv[5]);
    must(reply.reply_type == AMQP_RESPONSE_NORMAL, "login");
    must(amqp_channel_open(connection, 1) && amqp_confirm_select(connection, 1), "opening a channel");

    char text[400];
    memset(text, 'n', sizeof text);
    amqp_bytes_t body = {sizeof text, text}, exchange = amqp_cstring_bytes(argv[6]), key = amqp_cstring_bytes(argv[7]);
    amqp_basic_properties_t properties = {0};
    properties._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_CONTENT_TYPE_FLAG;
    properties.delivery_mode = AMQP_DELIVERY_PERSISTENT;
    properties.message_id = amqp_cstring_bytes(id);
    properties.content_type = amqp_cstring_bytes("application/json");
    uint64_t sent = 0, done = 0;
    while (done < count) {
        for (; sent < count && sent - done < window; sent++)
            must(amqp_basic_publish(connection, 1, exchange, key, 1, 0, &properties, body) == AMQP_STATUS_OK, "publishing");
        done += confirmed(connection, done);
    }
    return 0;
}
