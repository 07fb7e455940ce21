using System.Collections.Immutable;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Client;

/// <summary>The program that docs/client.md begins with, compiled and run as a process of its own against a real cluster.</summary>
[TestFixture]
public sealed class ReadmeProgramTests
{
    [Test]
    public async Task The_program_of_the_document_writes_to_the_master_and_reads_what_it_wrote()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 1, Redis = 2 });
        using var folder = new TemporaryDirectory("readme");
        string program = ReadmeProgram.Compile(folder, "docs/client.md", "127.0.0.1:2181/redis_failover", cluster.ConnectionString);
        await cluster.WaitForAsync("there is a master", topology => topology.Master is not null);
        await using ChildProcess running = await ChildProcess.StartAsync(
            new ChildProcessOptions("README's program", Programs.Dotnet, [program])
            {
                Environment = ImmutableDictionary<string, string?>.Empty.Add("DOTNET_EnableDiagnostics", "0"),
            });
        Assert.That(await running.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(60)), Is.Zero, running.Tail());

        // The first line is a replica's, which may not have had it yet.
        await running.WaitForLineAsync(line => line == "hello");
        Assert.That(running.Output[^1], Is.EqualTo("hello"));
        Assert.That((await cluster.Redis[0].CommandAsync("GET", "greeting")).Text, Is.EqualTo("hello"));
    }
}
