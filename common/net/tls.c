#include "net/tls.h"

#include <arpa/inet.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include "net/http_server.h"

static int tls_fail(struct err *err, enum err_code code, const char *what, const char *file)
{
    char text[160] = "no reason given";
    unsigned long e = ERR_peek_last_error();
    if (e)
        ERR_error_string_n(e, text, sizeof text);
    ERR_clear_error();
    return err_set(err, code, "%s %s: %s", what, file, text);
}

struct ssl_ctx_st *http_tls_load(const char *cert_file, const char *key_file, struct err *err)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx) {
        tls_fail(err, ERR_INTERNAL, "cannot make a TLS context for", cert_file);
        return NULL;
    }
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* TLS 1.3 tickets resume without it */
    if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1)
        tls_fail(err, ERR_INVALID, "cannot use the certificate", cert_file);
    else if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1)
        tls_fail(err, ERR_INVALID, "cannot use the private key", key_file);
    else if (SSL_CTX_check_private_key(ctx) != 1)
        tls_fail(err, ERR_INVALID, "the certificate does not belong to the key", key_file);
    else
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

SSL_CTX *tls_client_context(const char *ca_file, struct err *err)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx) {
        tls_fail(err, ERR_INTERNAL, "cannot make a TLS context for", "a client");
        return NULL;
    }
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF); /* HTTP framing tells whether all is there */
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    int ok =
        ca_file ? SSL_CTX_load_verify_locations(ctx, ca_file, NULL) : SSL_CTX_set_default_verify_paths(ctx);
    if (ok == 1)
        return ctx;
    tls_fail(err, ERR_INVALID, "cannot read trusted certificates from",
             ca_file ? ca_file : "the system's store");
    SSL_CTX_free(ctx);
    return NULL;
}

SSL *tls_client_connection(SSL_CTX *ctx, const char *host, struct err *err)
{
    SSL *ssl = SSL_new(ctx);
    unsigned char binary[16];
    bool numeric = inet_pton(AF_INET, host, binary) == 1 || inet_pton(AF_INET6, host, binary) == 1;
    int ok = ssl != NULL;
    if (ok && numeric)
        ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
    else if (ok)
        ok = SSL_set1_host(ssl, host) && SSL_set_tlsext_host_name(ssl, host);
    if (ok)
        return ssl;
    tls_fail(err, ERR_INTERNAL, "cannot prepare a TLS connection to", host);
    SSL_free(ssl);
    return NULL;
}

void tls_describe(struct bufferevent *bev, struct buf *out)
{
    SSL *ssl = bufferevent_openssl_get_ssl(bev);
    if (!ssl)
        return;
    long verify = SSL_get_verify_result(ssl);
    if (verify != X509_V_OK) {
        buf_printf(out, "the server's certificate is not trusted: %s", X509_verify_cert_error_string(verify));
        return;
    }
    unsigned long e = bufferevent_get_openssl_error(bev);
    if (e) {
        const char *reason = ERR_reason_error_string(e);
        buf_printf(out, "TLS: %s", reason ? reason : "unknown error");
    }
}
