"""usage: attest_cases.py PARANOID CASES

Ask PARANOID for its verdict on each case below CASES, and compare it with expected.json.
"""
import json
import pathlib
import subprocess
import sys


def ask(paranoid, case, expected):
    command = [paranoid, "attest", "verify", str(case), "--json"]
    if "verify_at" in expected:
        command += ["--at", expected["verify_at"]]
    if not (case / "tcb_info.json").exists() and not (case / "report.bin").exists():
        command.append("--no-collateral")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


def differences(case, paranoid):
    expected = json.loads((case / "expected.json").read_text())
    fields = expected["fields"]
    status, verdict = ask(paranoid, case, expected)
    is_valid = expected["verdict"] == "valid"
    wanted = {
        "tee": {"sgx": "sgx", "tdx": "tdx", "sev-snp": "sev-snp"}[case.parent.name],
        "verdict": expected["verdict"],
        "debug": expected["debug"],
        "measurement": fields.get("MRENCLAVE") or fields.get("MRTD") or fields.get("MEASUREMENT"),
        "report_data": fields["REPORT_DATA"],
        # Where no status could be found, others wrote why.
        "tcb_status": expected.get("tcb_status") if is_valid else None,
    }
    if "MRSIGNER" in fields:
        wanted["signer"] = fields["MRSIGNER"]
    if status != (0 if is_valid else 1):
        yield f"exit status {status}"
    if is_valid != (verdict["reason"] is None):
        yield f"reason {verdict['reason']}"
    for name, value in wanted.items():
        if verdict[name] != value:
            yield f"{name} is {verdict[name]}, expected {value}"


def main(paranoid, cases):
    failed = count = 0
    for path in sorted(pathlib.Path(cases).glob("*/*/expected.json")):
        count += 1
        for difference in differences(path.parent, paranoid):
            failed += 1
            print(f"{path.parent}: {difference}")
    print(f"{count} cases, {failed} differences")
    return 1 if failed > 0 or count < 20 else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
