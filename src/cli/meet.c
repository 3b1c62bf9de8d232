/* src/cli/meet.c */
#include "cli/meet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "capsule/term.h"
#include "wire/vouch.h"

/* A refusal of one part says of which. */
static void name_part(struct verdict *verdict, const char *part)
{
    char detail[VERDICT_DETAIL_BYTES_MAX];
    snprintf(detail, sizeof detail, "%s", verdict->detail);
    snprintf(verdict->detail, sizeof verdict->detail, "of the %s%s%.*s", part,
             detail[0] == '\0' ? "" : ": ", (int)(sizeof verdict->detail - 32), detail);
}

/* From the owner to the root. */
static bool judge_leader(struct meet_result *result, const struct meet *meet,
                         const struct vouch *vouch)
{
    struct verdict *verdict = &result->verdict;
    if (vouch->term_body.length == 0) {
        return verdict_refuse(verdict, REASON_LEADER, "the worker gave its own evidence alone");
    }
    struct term term;
    enum status status = term_decode(&term, vouch->term_body, meet->owner, meet->capsule);
    if (status != STATUS_OK) {
        return verdict_refuse(verdict, REASON_OWNER, "its leader's TERM is %s",
                              status_text(status));
    }
    uint8_t report_data[HASH512_BYTES];
    const struct vouch_statement statement = {
        .nonce = meet->nonce,
        .capsule = meet->capsule,
        .leader = &term.leader,
        .root = vouch->root,
        .worker = &vouch->worker,
    };
    vouch_leader_data(report_data, &statement);
    const struct evidence_roots roots = policy_roots(meet->policy, meet->vendors);
    const struct verdict genuine = evidence_verify(vouch->leader_evidence, meet->now_s, &roots);
    *verdict = policy_judge(meet->policy, &genuine, report_data, POLICY_LEADER);
    if (!verdict->is_admitted) {
        name_part(verdict, "leader's evidence");
        return false;
    }
    return true;
}

/* From the root to the certificate, and to the writer who was vouched for. */
static bool judge_certificate(struct meet_result *result, const struct meet *meet,
                              const struct vouch *vouch, struct p256_public *tls_key)
{
    struct verdict *verdict = &result->verdict;
    const struct bytes leaf = meet->presented.length > 0 ? meet->presented : vouch->certificate;
    struct p256_public root_key, known_key;
    if (meet->owner != NULL && meet->root.length > 0 &&
        (certificate_public(&root_key, result->root) != STATUS_OK ||
         certificate_public(&known_key, meet->root) != STATUS_OK ||
         memcmp(root_key.bytes, known_key.bytes, P256_PUBLIC_BYTES) != 0)) {
        return verdict_refuse(verdict, REASON_CERTIFICATE,
                              "the root that the leader names is not the one at hand");
    }
    enum status status =
        certificate_verify_leaf(&result->claims, tls_key, leaf, result->root, meet->now_s);
    if (status != STATUS_OK) {
        return verdict_refuse(verdict, REASON_CERTIFICATE,
                              "the certificate presented does not lead to the app's root: it is %s",
                              status_text(status));
    }
    result->has_claims = true;
    if (meet->capsule != NULL && !hash_equal(&result->claims.capsule, meet->capsule)) {
        return verdict_refuse(verdict, REASON_CERTIFICATE, "it names another capsule");
    }
    if (memcmp(result->claims.writer_id, vouch->worker.bytes, WRITER_ID_BYTES) != 0) {
        return verdict_refuse(verdict, REASON_CERTIFICATE,
                              "it is another worker's than the one that was vouched for");
    }
    return true;
}

static void judge_worker(struct meet_result *result, const struct meet *meet,
                         const struct vouch *vouch, const struct p256_public *tls_key)
{
    uint8_t report_data[HASH512_BYTES];
    if (meet->code == NULL) {
        vouch_worker_data(report_data, meet->nonce, tls_key);
    } else {
        vouch_function_data(report_data, meet->nonce, meet->code, tls_key);
    }
    const struct evidence_roots roots = policy_roots(meet->policy, meet->vendors);
    const struct verdict genuine = evidence_verify(vouch->evidence, meet->now_s, &roots);
    result->verdict = policy_judge(meet->policy, &genuine, report_data, POLICY_WORKER);
    if (!result->verdict.is_admitted) {
        name_part(&result->verdict, "worker's evidence");
    }
}

/*
 * What the owner has said since the policy at hand, of programs that succeed others. The owner's
 * signature is enough: whoever hands it on can leave it out, and not make it up.
 */
static void follow_owner(struct policy *policy, const struct meet *meet, struct bytes body)
{
    char error[POLICY_ERROR_BYTES_MAX];
    uint64_t version;
    struct bytes text;
    struct policy *said = malloc(sizeof *said);
    CHECK(said != NULL);
    if (meet->owner != NULL && body.length > 0 &&
        term_policy_decode(&version, &text, body, meet->owner, meet->capsule) == STATUS_OK &&
        version > policy->version && policy_parse(said, text, error) == STATUS_OK) {
        policy_succession_follow(policy, &said->successions);
    }
    free(said);
}

static void judge(struct meet_result *result, const struct meet *meet, const struct vouch *vouch)
{
    struct p256_public tls_key;
    result->root = meet->owner == NULL ? meet->root : vouch->root;
    if ((meet->owner == NULL || judge_leader(result, meet, vouch)) &&
        judge_certificate(result, meet, vouch, &tls_key)) {
        judge_worker(result, meet, vouch, &tls_key);
    }
}

void meet_judge(struct meet_result *result, const struct meet *meet, struct bytes bytes)
{
    struct vouch vouch;
    *result = (struct meet_result){.verdict = verdict_at(meet->now_s)};
    if (vouch_decode(&vouch, bytes) != STATUS_OK) {
        verdict_refuse(&result->verdict, REASON_FORMAT, "what the server answers is no evidence");
        return;
    }
    struct policy *policy = malloc(sizeof *policy);
    CHECK(policy != NULL);
    *policy = *meet->policy;
    follow_owner(policy, meet, vouch.policy_body);
    struct meet followed = *meet;
    followed.policy = policy;
    judge(result, &followed, &vouch);
    free(policy);
}
