# Objects that a command-line tool writes: the Consul and Nomad modules share this.
#
# Two resources an object, so that a change never deletes it first. Deleting an auth method or a
# policy revokes every token that came from it, so a changed file must end in an update in place:
#   content  is replaced when the content changes; creating it writes the object, create or update.
#   removal  stays the same for the object's whole life; destroying it deletes the object.

terraform {
  required_version = ">= 1.6"
}

variable "script" {
  description = "POSIX sh script, called as `sh SCRIPT put` (reads $NAME and $CONTENT; creates or updates) and `sh SCRIPT delete` (reads $NAME; no error when it is gone already). Both find their tool in $CLI."
  type        = string
}

variable "cli" {
  description = "Name or path of the tool that the script drives."
  type        = string
}

variable "objects" {
  description = "Content of each object by name."
  type        = map(string)
}

variable "epoch" {
  description = "Changes when the cluster was made anew, so that every object is written again."
  type        = string
  default     = ""
}

resource "terraform_data" "removal" {
  for_each = var.objects
  input    = { script = var.script, cli = var.cli }

  provisioner "local-exec" {
    when        = destroy
    quiet       = true
    command     = "exec sh \"$SCRIPT\" delete"
    environment = { SCRIPT = self.input.script, CLI = self.input.cli, NAME = each.key }
  }
}

resource "terraform_data" "content" {
  for_each         = var.objects
  input            = each.value
  triggers_replace = [each.value, var.epoch, filesha256(var.script), terraform_data.removal[each.key].id]

  provisioner "local-exec" {
    quiet       = true
    command     = "exec sh \"$SCRIPT\" put"
    environment = { SCRIPT = var.script, CLI = var.cli, NAME = each.key, CONTENT = each.value }
  }
}
