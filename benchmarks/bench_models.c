#include "bench_models.h"

#include <stdio.h>
#include <stdlib.h>

#include "kernels/spec/model.h"

static struct graph *finish(struct model_spec *m)
{
    struct findings f = {0};
    model_spec_output(m, "logits");
    struct graph *g = graph_build(m, &f);
    for (size_t i = 0; i < f.count; i++)
        if (f.items[i].status == FINDING_FAILED)
            fprintf(stderr, "%s\n", f.items[i].message);
    if (!g)
        exit(1);
    findings_free(&f);
    model_spec_destroy(m);
    return g;
}

static struct model_spec *start(const char *name, struct shape shape)
{
    struct model_spec *m = model_spec_create(name);
    model_spec_input(m, "x", &shape, DTYPE_F32);
    return m;
}

static struct graph *mlp(void)
{
    struct model_spec *m = start("mlp", (struct shape){1, {784}});
    model_spec_set(model_spec_add(m, "d1", "dense", "x"), "units", 0, 512);
    model_spec_add(m, "r1", "relu", "d1");
    model_spec_set(model_spec_add(m, "d2", "dense", "r1"), "units", 0, 512);
    model_spec_add(m, "r2", "relu", "d2");
    model_spec_set(model_spec_add(m, "logits", "dense", "r2"), "units", 0, 10);
    return finish(m);
}

static struct graph *cnn(void)
{
    struct model_spec *m = start("cnn", (struct shape){3, {1, 28, 28}});
    model_spec_set(model_spec_add(m, "c1", "conv2d", "x"), "filters", 0, 32);
    model_spec_add(m, "r1", "relu", "c1");
    model_spec_set(model_spec_add(m, "c2", "conv2d", "r1"), "filters", 0, 64);
    model_spec_add(m, "r2", "relu", "c2");
    model_spec_add(m, "pool", "max_pool2d", "r2");
    model_spec_add(m, "flat", "flatten", "pool");
    model_spec_set(model_spec_add(m, "d1", "dense", "flat"), "units", 0, 128);
    model_spec_add(m, "r3", "relu", "d1");
    model_spec_set(model_spec_add(m, "logits", "dense", "r3"), "units", 0, 10);
    return finish(m);
}

/* conv without bias, batch_norm; named stem and stem + "n". */
static void conv_norm(struct model_spec *m, const char *stem, const char *from, int filters, int kernel,
                      int stride)
{
    char name[64];
    struct spec_layer *c = model_spec_add(m, stem, "conv2d", from);
    model_spec_set(c, "filters", 0, filters);
    model_spec_set(c, "kernel", 0, kernel);
    model_spec_set(c, "stride", 0, stride);
    model_spec_set(c, "padding", 0, kernel / 2);
    model_spec_set(c, "use_bias", 0, 0);
    snprintf(name, sizeof(name), "%sn", stem);
    model_spec_add(m, name, "batch_norm", stem);
}

/* He et al., arXiv:1512.03385, section 4.2: 3 times 3 blocks of 16, 32, 64 channels; where the size changes, the shortcut is a
 * 1x1 convolution. */
static struct graph *resnet20(void)
{
    struct model_spec *m = start("resnet20", (struct shape){3, {3, 32, 32}});
    char before[64] = "r0", a[64], b[64], s[64], from[160];
    conv_norm(m, "c0", "x", 16, 3, 1);
    model_spec_add(m, "r0", "relu", "c0n");
    for (int stage = 0; stage < 3; stage++)
        for (int block = 0; block < 3; block++) {
            int filters = 16 << stage, stride = stage > 0 && block == 0 ? 2 : 1;
            snprintf(a, sizeof(a), "s%db%da", stage, block);
            snprintf(b, sizeof(b), "s%db%db", stage, block);
            snprintf(s, sizeof(s), "s%db%ds", stage, block);
            conv_norm(m, a, before, filters, 3, stride);
            snprintf(from, sizeof(from), "%sn", a);
            snprintf(a, sizeof(a), "s%db%dr", stage, block);
            model_spec_add(m, a, "relu", from);
            conv_norm(m, b, a, filters, 3, 1);
            if (stride == 2)
                conv_norm(m, s, before, filters, 1, 2);
            snprintf(from, sizeof(from), "%sn,%s%s", b, stride == 2 ? s : before, stride == 2 ? "n" : "");
            snprintf(a, sizeof(a), "s%db%dsum", stage, block);
            model_spec_add(m, a, "add", from);
            snprintf(before, sizeof(before), "s%db%dout", stage, block);
            model_spec_add(m, before, "relu", a);
        }
    model_spec_add(m, "pool", "global_avg_pool", before);
    model_spec_set(model_spec_add(m, "logits", "dense", "pool"), "units", 0, 10);
    return finish(m);
}

/* layer_norm, attention, add; layer_norm, dense, gelu, dense, add; named stem + a letter. The name of the last is left in `before`. */
static void transformer_block(struct model_spec *m, int index, char before[64])
{
    char n1[64], at[64], s1[64], n2[64], wide[64], act[64], narrow[64], from[160];
    snprintf(n1, sizeof(n1), "b%dn1", index);
    snprintf(at, sizeof(at), "b%dat", index);
    snprintf(s1, sizeof(s1), "b%ds1", index);
    snprintf(n2, sizeof(n2), "b%dn2", index);
    snprintf(wide, sizeof(wide), "b%dwide", index);
    snprintf(act, sizeof(act), "b%dgelu", index);
    snprintf(narrow, sizeof(narrow), "b%dnarrow", index);
    model_spec_add(m, n1, "layer_norm", before);
    struct spec_layer *attention = model_spec_add(m, at, "multi_head_attention", n1);
    model_spec_set(attention, "num_heads", 0, 4);
    model_spec_set(attention, "causal", 0, 1);
    snprintf(from, sizeof(from), "%s,%s", before, at);
    model_spec_add(m, s1, "add", from);
    model_spec_add(m, n2, "layer_norm", s1);
    model_spec_set(model_spec_add(m, wide, "dense", n2), "units", 0, 512);
    model_spec_add(m, act, "gelu", wide);
    model_spec_set(model_spec_add(m, narrow, "dense", act), "units", 0, 128);
    snprintf(from, sizeof(from), "%s,%s", s1, narrow);
    snprintf(before, 64, "b%ds2", index);
    model_spec_add(m, before, "add", from);
}

/* nanoGPT's configuration for a CPU: 4 blocks, 4 heads, 128 wide, 64 characters of context, no dropout. */
static struct graph *gpt(void)
{
    struct model_spec *m = model_spec_create("gpt");
    const struct shape shape = {1, {64}};
    char before[64] = "positions";
    model_spec_input(m, "x", &shape, DTYPE_I32);
    struct spec_layer *embedding = model_spec_add(m, "tokens", "embedding", "x");
    model_spec_set(embedding, "num_embeddings", 0, 65);
    model_spec_set(embedding, "embedding_dim", 0, 128);
    model_spec_add(m, "positions", "position_embedding", "tokens");
    for (int i = 0; i < 4; i++)
        transformer_block(m, i, before);
    model_spec_add(m, "norm", "layer_norm", before);
    struct spec_layer *logits = model_spec_add(m, "logits", "dense", "norm");
    model_spec_set(logits, "units", 0, 65);
    model_spec_set(logits, "use_bias", 0, 0);
    return finish(m);
}

static void sgd(struct algorithm *a)
{
    a->optimizer.type = OPTIMIZER_SGD;
    a->optimizer.learning_rate = 0.01;
}

static void adam(struct algorithm *a)
{
    a->optimizer.type = OPTIMIZER_ADAM;
    a->optimizer.learning_rate = 1e-3;
}

static void momentum(struct algorithm *a)
{
    a->optimizer.type = OPTIMIZER_SGD;
    a->optimizer.learning_rate = 0.1;
    a->optimizer.momentum = 0.9;
    a->optimizer.weight_decay = 1e-4;
}

static void adamw(struct algorithm *a)
{
    a->optimizer.type = OPTIMIZER_ADAMW;
    a->optimizer.learning_rate = 1e-3;
    a->optimizer.beta2 = 0.99;
    a->optimizer.weight_decay = 0.1;
}

const struct bench_model bench_models[] = {
    {"mlp", "784-512-512-10, SGD", 128, 10, mlp, sgd},
    {"cnn", "conv 32, conv 64, pool, dense 128, Adam", 128, 10, cnn, adam},
    {"resnet20", "ResNet-20 for CIFAR-10, SGD with momentum", 128, 10, resnet20, momentum},
    {"gpt", "character GPT: 4 layers, 4 heads, 128 wide, context 64, AdamW", 12, 65, gpt, adamw},
};
const int bench_model_count = (int)(sizeof(bench_models) / sizeof(bench_models[0]));
