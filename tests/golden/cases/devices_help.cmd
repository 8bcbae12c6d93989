"$FABMARK" devices --help
