"$FABMARK" --help
