# Guards over what the other engines permit: limits that are data, and what contractors do not see.
package mcpg

default decision := false

decision := {"allow": true, "policies": ["guards"], "obligations": obligations} if count(violations) == 0

decision := {"allow": false, "policies": ["guards"], "reason": concat("; ", violations)} if count(violations) > 0

# An export without a limit is over it.
violations contains "an export has a limit" if {
	input.action.name == "export"
	not within_limit
}

within_limit if {
	input.context.arguments.limit > 0
	input.context.arguments.limit <= data.limits.export_rows
}

violations contains "the repository is frozen" if {
	input.resource.binding == "git"
	input.action.name == "push"
	data.freeze.git
}

obligations contains "redact:detector=card" if not "finance" in input.caller.groups
