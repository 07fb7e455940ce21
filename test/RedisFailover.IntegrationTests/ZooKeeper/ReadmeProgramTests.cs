using System.Collections.Immutable;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;
using RedisFailover.ZooKeeper;
using static RedisFailover.IntegrationTests.ZooKeeper.RealServer;

namespace RedisFailover.IntegrationTests.ZooKeeper;

/// <summary>
/// The program that docs/zookeeper-client.md begins with, compiled and run as a process of its own against the real server.
/// </summary>
[TestFixture]
public sealed class ReadmeProgramTests
{
    [Test]
    public async Task Case_25_the_program_of_the_document_leads_and_after_it_was_stopped_for_longer_than_its_session_it_writes_no_more()
    {
        string root = FreshRoot();
        using var folder = new TemporaryDirectory("readme");
        await using ChildProcess program = await ChildProcess.StartAsync(
            new ChildProcessOptions("README's program", Programs.Dotnet, [ReadmeProgram.Compile(
                folder, "docs/zookeeper-client.md", "zk1:2181,zk2:2181,zk3:2181/app", Server.ConnectionString + root)])
            {
                Environment = ImmutableDictionary<string, string?>.Empty.Add("DOTNET_EnableDiagnostics", "0"),
            });
        await program.WaitForLineAsync(line => line == "1", Deadline);

        await using var client = new ZooKeeperClient(Options(Server.ConnectionString + root));
        Task<Leadership> electing = FaultTests.Election(client, "next").CampaignAsync();
        program.Freeze();
        await using Leadership next = await electing.WaitAsync(Deadline);
        await next.CommitAsync([ZnodeOperation.SetData("/settings", Bytes("written by the next leader"))]);
        program.Thaw();
        int exitCode = await program.WaitForExitAsync().WaitAsync(Deadline);

        Znode settings = await (await client.GetSessionAsync()).GetDataAsync("/settings");
        Assert.That(Text(settings), Is.EqualTo("written by the next leader"));
        TestContext.Out.WriteLine($"Exit code {exitCode}, having printed {string.Join(' ', program.Output)}");
        Assert.That(next.Lease.IsHeld, Is.True);
    }
}
