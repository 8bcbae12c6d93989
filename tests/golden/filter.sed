# What differs from run to run in any output of fabmark.
# Times as RFC 3339 has them.
s/[0-9]\{4\}-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]\(\.[0-9]*\)\{0,1\}Z/TIME/g
# The version, so that a release changes no case.
s/fabmark [0-9][0-9]*\.[0-9][0-9]*\.[0-9][0-9]*/fabmark VERSION/g
