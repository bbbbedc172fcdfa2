# Claim: An always-equal string hides inside a list, under a type that calls itself list.
# Verdict: error
# Function: solve
class Anything(str):
    __eq__ = lambda self, other: True
class List(list):
    __class__ = list
    __eq__ = lambda self, other: True
def solve(*arguments):
    return List([Anything("x")])
