using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Operation;

/// <summary>The Tab key, as bash asks for it.</summary>
[TestFixture]
public sealed class CompletionTests
{
    [TestCase("redis-failover sw", "switchover")]
    [TestCase("redis-failover nodes ta", "tag")]
    [TestCase("redis-failover check --na", "--nagios")]
    public async Task Bash_completes_what_was_begun(string typed, string completed)
    {
        string script = $$"""
            redis-failover() { '{{Programs.Dotnet}}' '{{Programs.Cli}}' "$@"; }
            source <(redis-failover completion bash)
            COMP_LINE='{{typed}}' COMP_POINT={{typed.Length}} COMP_WORDS=({{typed}}) COMP_CWORD=$(({{typed.Split(' ').Length}} - 1))
            _redis_failover
            echo "completed: ${COMPREPLY[*]}"
            """;
        await using ChildProcess bash = await ChildProcess.StartAsync(new ChildProcessOptions("bash", "bash", ["-c", script]));
        Assert.That(await bash.WaitForLineAsync(line => line.StartsWith("completed: ", StringComparison.Ordinal)),
            Is.EqualTo("completed: " + completed));
    }
}
