# shellcheck shell=bash
# lib.sh - what the scripts in this folder share; to be sourced with the repository's root as working directory.

# packages_of GROUP: its packages in ci/packages, one a line.
packages_of() {
	sed -n -e 's/#.*//' -e "s/^$1?\{0,1\}: *//p" ci/packages | tr -s ' ' '\n' | sed '/^$/d'
}

is_optional() {
	grep -q "^$1?:" ci/packages
}

# missing_of PACKAGE...: those that dpkg does not have installed, one a line. Asks dpkg only, so it works offline.
missing_of() {
	local package
	for package; do
		[[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" == installed ]] || echo "$package"
	done
}

# Runs a command as root; fails where that would need a password and nobody can be asked for it.
as_root() {
	if [[ $EUID -eq 0 ]]; then
		"$@"
	elif [[ -t 0 ]]; then
		sudo "$@"
	else
		sudo -n "$@"
	fi
}

may_install() {
	[[ $EUID -eq 0 ]] || { command -v sudo && { [[ -t 0 ]] || sudo -n true; }; } >/dev/null 2>&1
}

apt() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120 "$@"
}

# is_offered PACKAGE: the package lists know it.
is_offered() {
	local policy
	policy=$(LC_ALL=C apt-cache policy "$1" 2>/dev/null)
	[[ $policy == *'Candidate: '[^\(]* ]]
}

# install_now PACKAGE...: all of them, once more with fresh package lists where that failed.
install_now() {
	apt install -y --no-install-recommends "$@" || { apt update && apt install -y --no-install-recommends "$@"; }
}

# install_group GROUP: what of it is missing. 1, with the names, where something stays missing that is not optional.
install_group() {
	local group=$1 package missing offered=()
	mapfile -t missing < <(packages_of "$group" | { mapfile -t all; missing_of "${all[@]}"; })
	[[ ${#missing[@]} -gt 0 ]] || return 0

	if ! may_install; then
		echo "not installed ($group): ${missing[*]}; as root: apt-get install ${missing[*]}" >&2
		is_optional "$group"
		return
	fi
	for package in "${missing[@]}"; do
		is_offered "$package" || { apt update || true; break; }
	done
	for package in "${missing[@]}"; do
		if is_offered "$package" || ! is_optional "$group"; then
			offered+=("$package")
		else
			echo "left out ($group): $package is not among this system's packages" >&2
		fi
	done
	[[ ${#offered[@]} -gt 0 ]] || return 0
	install_now "${offered[@]}" && return 0
	mapfile -t missing < <(missing_of "${offered[@]}")
	echo "could not install ($group): ${missing[*]}; apt-get's reason stands above" >&2
	is_optional "$group"
}

# install_packages GROUP...: what is missing of these groups of ci/packages; no call of apt-get where nothing is.
# 1 where something that is not optional stays missing; it may still be there by other means than a package.
install_packages() {
	local group status=0
	if ! command -v dpkg-query >/dev/null; then
		echo "not a Debian or Ubuntu: the packages that stand in ci/packages for $* are up to you" >&2
		return 0
	fi
	for group; do
		install_group "$group" || status=1
	done
	return "$status"
}
