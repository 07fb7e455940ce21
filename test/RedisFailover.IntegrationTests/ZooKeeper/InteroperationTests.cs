using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;
using RedisFailover.ZooKeeper;
using static RedisFailover.IntegrationTests.ZooKeeper.RealServer;

namespace RedisFailover.IntegrationTests.ZooKeeper;

/// <summary>What ZooKeeper's own tools write we read, and the reverse.</summary>
[TestFixture]
public sealed class InteroperationTests
{
    [Test]
    public async Task What_zkCli_writes_we_read_and_what_we_write_it_reads_access_control_lists_too()
    {
        string root = FreshRoot();
        await using var client = new ZooKeeperClient(Options(Server.ConnectionString + root));
        ZooKeeperSession session = await client.GetSessionAsync();
        await session.EnsurePathAsync("/");
        await using WatchedValue value = client.Watch("/from-cli");
        await Eventually.HoldsAsync("read as missing", () => value.IsRead);
        Assert.That(value.Current, Is.Null);
        await Server.CliAsync(
            ["create", root + "/from-cli", "hello", "world:anyone:r,digest:u:" + ZnodeAcl.Digest("u", "p").Id.Split(':')[1] + ":cdrwa"]);
        await Eventually.HoldsAsync("the watched value has it", () => value.Current is { } v && Text(v) == "hello");
        Assert.That((await FailsAsync(session.SetDataAsync("/from-cli", default).AsTask())).Code, Is.EqualTo(ZooKeeperErrorCode.NoAuth));
        await session.AddAuthAsync(ZooKeeperAuth.Digest("u", "p"));
        // Only now: to those who may not change it the server shows a list without its hashes.
        Assert.That((await session.GetAclAsync("/from-cli")).Acl, Is.EquivalentTo(new[]
        {
            new ZnodeAcl(ZnodePermissions.Read, "world", "anyone"), ZnodeAcl.Digest("u", "p"),
        }));
        await session.SetDataAsync("/from-cli", Bytes("written by us"));

        Assert.That(await Server.CliAsync(["get", root + "/from-cli"]), Does.Contain("written by us"));
        await session.CreateAsync(
            "/from-us", default,
                acl: [new ZnodeAcl(ZnodePermissions.Read | ZnodePermissions.Write, "world", "anyone"), ZnodeAcl.Digest("x", "y")]);
        string shown = await Server.CliAsync(["getAcl", root + "/from-us"]);
        Assert.That(shown, Does.Contain("'world,'anyone").And.Contain(": rw").And.Contain("'digest,'x:").And.Contain(": cdrwa"));
    }

    [Test]
    public async Task The_Java_client_sees_our_write_through_its_watch_and_we_see_its_own()
    {
        if (Programs.Find("javac") is null)
        {
            Assert.Ignore("Running Java from source needs a JDK; there is only a runtime.");
        }

        string root = FreshRoot();
        await using ZooKeeperSession session = await ConnectAsync(root: root);
        await session.CreateAsync("/from-us", Bytes("first"));
        string source = Path.Combine(Programs.RepositoryRoot, "test", "RedisFailover.IntegrationTests", "ZooKeeper", "Watch.java");
        await using ChildProcess java = await ChildProcess.StartAsync(
            new ChildProcessOptions("Watch.java", Programs.Java,
                ["-Xmx64m", "-cp", Programs.ZooKeeperClassPath, source, Server.ConnectionString, root]));
        await java.WaitForLineAsync(line => line == "java sees first", Deadline);
        Assert.That(Text(await session.GetDataAsync("/from-java")), Is.EqualTo("written by java é"));
        await session.SetDataAsync("/from-us", Bytes("second"));
        await java.WaitForLineAsync(line => line == "java was told, sees second version 1", Deadline);
        Assert.That(await java.WaitForExitAsync(), Is.Zero);
    }
}
