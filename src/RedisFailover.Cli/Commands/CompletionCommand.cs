using System.CommandLine;

namespace RedisFailover.Cli.Commands;

/// <summary>completion: what a shell has to run so that the Tab key completes commands and options.</summary>
internal static class CompletionCommand
{
    // The tool answers its own "[suggest:POSITION]" with all words that contain what was typed; the shell keeps those that begin with it.
    private const string Bash = """
        _redis_failover() {
          local word=${COMP_WORDS[COMP_CWORD]}
          COMPREPLY=($(compgen -W "$(redis-failover "[suggest:$COMP_POINT]" "$COMP_LINE" 2>/dev/null)" -- "$word"))
        }
        complete -o default -F _redis_failover redis-failover
        """;

    private const string Zsh = """
        #compdef redis-failover
        _redis_failover() {
          local -a words_found
          words_found=("${(@f)$(redis-failover "[suggest:$CURSOR]" "$BUFFER" 2>/dev/null)}")
          compadd -a words_found
        }
        compdef _redis_failover redis-failover
        """;

    internal static Command Create()
    {
        Argument<string> shell = new("shell") { Description = "bash or zsh", HelpName = "bash|zsh" };
        shell.AcceptOnlyFromAmong("bash", "zsh");
        Command command = new("completion",
                "Print what makes the Tab key complete commands and options: source <(redis-failover completion bash)") { shell };
        command.SetAction(async (parsed, ct) =>
        {
            await parsed.InvocationConfiguration.Output.WriteLineAsync((parsed.GetValue(shell) == "zsh" ? Zsh : Bash).AsMemory(), ct);
            return CommandLine.Done;
        });
        return command;
    }
}
