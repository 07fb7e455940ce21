using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

// Most of a test's time is waiting, so more of them run at once than there are cores. Each has its own ports, folders and znodes.
[assembly: Parallelizable(ParallelScope.Fixtures)]
[assembly: LevelOfParallelism(4)]

/// <summary>Ends what all tests share. Without a namespace, so that it stands around those of every folder.</summary>
[SetUpFixture]
#pragma warning disable CA1050 // deliberately without a namespace
public sealed class TestAssembly
#pragma warning restore CA1050
{
    [OneTimeTearDown]
    public Task StopAsync() => SharedZooKeeper.StopAsync();
}
