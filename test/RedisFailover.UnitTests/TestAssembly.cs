using NUnit.Framework;

// Most of a fixture's time is another thread's, or a clock's that a test moves.
[assembly: Parallelizable(ParallelScope.Fixtures)]
[assembly: LevelOfParallelism(5)]

/// <summary>Without a namespace, so that it stands around all tests.</summary>
[SetUpFixture]
#pragma warning disable CA1050 // So it has to be.
public sealed class TestAssembly
#pragma warning restore CA1050
{
    /// <summary>Tests that block threads must not make the others wait for the pool to grow.</summary>
    [OneTimeSetUp]
    public void LetNobodyWaitForThreads() => ThreadPool.SetMinThreads(32, 32);
}
