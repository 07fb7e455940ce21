using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

// Most of a test's time is waiting, so more of them run at once than there are cores. Each has its own ports, folders and znodes.
[assembly: Parallelizable(ParallelScope.Fixtures)]
[assembly: LevelOfParallelism(5)]

/// <summary>What all tests share. Without a namespace, so that it stands around those of every folder.</summary>
[SetUpFixture]
#pragma warning disable CA1050 // deliberately without a namespace
public sealed class TestAssembly
#pragma warning restore CA1050
{
    /// <summary>
    /// A monitor compiles all it needs for good when it starts, so that its first failover is as quick as any other. The tests start
    /// hundreds of processes and do not measure that: these compile quickly.
    /// </summary>
    [OneTimeSetUp]
    public void LetChildrenStartQuickly()
    {
        Environment.SetEnvironmentVariable("DOTNET_TieredCompilation", "1");
        Environment.SetEnvironmentVariable("DOTNET_TieredPGO", "0");
    }

    [OneTimeTearDown]
    public Task StopAsync() => SharedZooKeeper.StopAsync();
}
