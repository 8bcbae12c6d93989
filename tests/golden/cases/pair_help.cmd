"$FABMARK" pair --help
