# Claim: SystemExit, KeyboardInterrupt and GeneratorExit skip the comparison.
# Verdict: wrong
class Fine(SystemExit):
    code = 0
raise Fine
